package nats

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// login are the fields of CONNECT by which the server knows a user.
type login struct {
	User      string `json:"user,omitempty"`
	Password  string `json:"pass,omitempty"`
	Token     string `json:"auth_token,omitempty"`
	JWT       string `json:"jwt,omitempty"`
	NKey      string `json:"nkey,omitempty"`
	Signature string `json:"sig,omitempty"`
}

// login reads the credentials, afresh for each run, so that files that were
// replaced count. The nonce is the server's, to be signed. No error holds any of
// a file's content.
func (c *Check) login(server server, nonce string) (login, error) {
	option, file := "credentials", c.Credentials
	if file == "" {
		option, file = "nkey", c.NKey
	}
	if file == "" {
		return login{User: server.user, Password: server.password, Token: server.token}, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(c.Dir, file)
	}
	content, err := os.ReadFile(file)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if err != nil {
		return login{}, fmt.Errorf("%s %s: %w", option, file, err)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return login{}, fmt.Errorf("%s %s: has no seed of a user (SU...)", option, file)
	}
	defer pair.Wipe()
	signature, err := pair.Sign([]byte(nonce))
	if err != nil {
		return login{}, fmt.Errorf("%s %s: %w", option, file, err)
	}
	l := login{Signature: base64.RawURLEncoding.EncodeToString(signature)}
	if c.Credentials == "" {
		l.NKey, err = pair.PublicKey()
		return l, err
	}
	if !strings.Contains(string(content), "JWT") {
		return login{}, fmt.Errorf("%s %s: has no JWT; a seed alone belongs into nkey", option, file)
	}
	if l.JWT, err = nkeys.ParseDecoratedJWT(content); err != nil {
		return login{}, fmt.Errorf("%s %s: has no JWT", option, file)
	}
	return l, nil
}

// expiry returns when a JWT ends; zero if it does not, or cannot be read. Its
// signature is the server's business.
func expiry(jwt string) time.Time {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires == 0 {
		return time.Time{}
	}
	return time.Unix(claims.Expires, 0)
}
