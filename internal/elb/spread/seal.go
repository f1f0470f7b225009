package spread

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// KeySize is how many bytes NewSealer needs.
const KeySize = 32

// Sealer makes the values of stickiness cookies: opaque, and of no use when they
// were not made with the same key. Any number of goroutines may use it at once.
type Sealer struct{ aead cipher.AEAD }

// NewSealer returns a sealer with a key of KeySize bytes. Keep the key: with
// another one, all cookies are stale.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key for stickiness cookies has %d bytes, not %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use the key for stickiness cookies: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("use the key for stickiness cookies: %w", err)
	}
	return &Sealer{aead}, nil
}

// claim is what a cookie says: in this scope (a group, or a rule), this target
// (or group) was chosen, at this time, in seconds since 1970.
type claim struct {
	scope, key uint64
	issued     int64
}

// A sealed claim: a nonce, the three numbers, a tag; in base64 without padding,
// of the alphabet that needs no URL encoding.
const (
	claimSize = 3 * 8
	nonceSize = 12
	tagSize   = 16
)

var (
	encoding  = base64.RawURLEncoding.Strict()
	valueSize = encoding.EncodedLen(nonceSize + claimSize + tagSize)
)

// seal returns a cookie's value. The purpose is bound to it: a value for one does
// not open for another.
func (s *Sealer) seal(purpose string, c claim) string {
	plain := make([]byte, 0, claimSize)
	plain = binary.BigEndian.AppendUint64(plain, c.scope)
	plain = binary.BigEndian.AppendUint64(plain, c.key)
	plain = binary.BigEndian.AppendUint64(plain, uint64(c.issued)) //nolint:gosec // after 1970
	sealed := s.aead.Seal(nil, nil, plain, []byte(purpose))        //nolint:gosec // no nonce is given: this AEAD makes random ones
	return encoding.EncodeToString(sealed)
}

// open reads a value. Whatever a client may have sent instead of one is refused.
func (s *Sealer) open(purpose, value string) (c claim, ok bool) {
	if len(value) != valueSize {
		return c, false
	}
	sealed, err := encoding.DecodeString(value)
	if err != nil {
		return c, false
	}
	plain, err := s.aead.Open(sealed[:0], nil, sealed, []byte(purpose))
	if err != nil || len(plain) != claimSize {
		return c, false
	}
	return claim{
		scope:  binary.BigEndian.Uint64(plain),
		key:    binary.BigEndian.Uint64(plain[8:]),
		issued: int64(binary.BigEndian.Uint64(plain[16:])), //nolint:gosec // as it was sealed
	}, true
}
