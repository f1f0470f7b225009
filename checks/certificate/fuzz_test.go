package certificate

import (
	"bytes"
	"testing"
)

func FuzzLDAP(f *testing.F) {
	f.Add([]byte("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"))
	f.Add([]byte("\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x34\x04\x00\x04\x00"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		answer, err := readBER(bytes.NewReader(sent))
		if err != nil {
			return
		}
		if len(answer) > maxLine+16 || !bytes.HasPrefix(sent, answer) {
			t.Errorf("read %d bytes of %d", len(answer), len(sent))
		}
		if tag, _, rest := element(answer); tag != 0x30 || len(rest) > 0 {
			t.Errorf("%x is no sequence of its own", answer)
		}
		resultLDAP(answer)
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if chain, err := parse(content); (err == nil) != (len(chain) > 0) {
			t.Errorf("%d certificates, %v", len(chain), err)
		}
	})
}
