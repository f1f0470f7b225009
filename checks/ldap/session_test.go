package ldap

import (
	"bytes"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
		"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00",
		"\x30\x05\x02\x01\x01\x64\x00",
		"\x30\x05\x02\x01\x01\x61\x00",
		"\x30\x00",
		"\x02\x01\x01",
		"\x30\x0b\x02\x01\x01\x61\x06\x0a\x00\x04\x00\x04\x00",
		"\x30\x80\x02\x01\x01\x61\x80\x00\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, sent []byte) {
		message, err := ber.ReadPacket(bytes.NewReader(sent))
		if err != nil {
			return
		}
		_, _ = decode(message, 1, []ber.Tag{ldap.ApplicationBindResponse, ldap.ApplicationSearchResultEntry})
	})
}
