package smtp

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // CRAM-MD5 has no other
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

// login logs in by the best way that the server offers and the connection
// allows. Over a plain connection the password is sent only if exposed is set.
func (s *session) login(user, password string, exposed bool) error {
	offered := s.features["AUTH"]
	_, secure := s.conn.TLS()
	switch {
	case (secure || exposed) && slices.Contains(offered, "PLAIN"):
		return s.plain(user, password)
	case (secure || exposed) && slices.Contains(offered, "LOGIN"):
		return s.loginLOGIN(user, password)
	case slices.Contains(offered, "CRAM-MD5"):
		return s.cramMD5(user, password)
	}
	var text string
	switch {
	case !secure && !exposed && (slices.Contains(offered, "PLAIN") || slices.Contains(offered, "LOGIN")):
		text = "the server does not offer STARTTLS, and the password is not sent in plain text (tls: off sends it)"
	case len(offered) == 0 && !secure:
		text = "the server offers no login on a connection without TLS"
	case len(offered) == 0:
		text = "the server offers no login"
	default:
		text = "the server offers no way to log in that is known here (PLAIN, LOGIN, CRAM-MD5), but " + strings.Join(offered, ", ")
	}
	return &refusal{text + ": " + s.conn.Address()}
}

// plain is RFC 4616.
func (s *session) plain(user, password string) error {
	return s.authenticate("AUTH PLAIN", encode("\x00"+user+"\x00"+password))
}

// loginLOGIN is what draft-murchison-sasl-login describes: the server asks for
// the user, and then for the password.
func (s *session) loginLOGIN(user, password string) error {
	return s.authenticate("AUTH LOGIN", "", func(string) string { return user }, func(string) string { return password })
}

// cramMD5 is RFC 2195.
func (s *session) cramMD5(user, password string) error {
	return s.authenticate("AUTH CRAM-MD5", "", func(challenge string) string {
		mac := hmac.New(md5.New, []byte(password))
		mac.Write([]byte(challenge))
		return user + " " + hex.EncodeToString(mac.Sum(nil))
	})
}

// authenticate begins a login and answers each of the server's questions (334)
// in turn, until it has accepted the login or not.
func (s *session) authenticate(step, first string, answers ...func(question string) string) error {
	s.secrets = append(s.secrets, first)
	r, err := s.say(step, first)
	for _, answer := range answers {
		if err != nil || r.code != 334 {
			break
		}
		question, decodeErr := base64.StdEncoding.DecodeString(strings.Join(r.lines, ""))
		if decodeErr != nil {
			return s.refused(step, r)
		}
		line := encode(answer(string(question)))
		s.secrets = append(s.secrets, line)
		r, err = s.send(step, line)
	}
	if err != nil {
		return err
	}
	if r.code != 235 {
		return s.refused(step, r)
	}
	return nil
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
