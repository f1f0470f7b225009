package ldap

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/go-ldap/ldap/v3"

	"hale/checks/internal/link"
)

// refused says what a result other than success means. The step is what it
// answers to.
func (s *session) refused(step string, r result) error {
	text := meaning(step, r)
	name := ldap.LDAPResultCodeMap[r.code]
	if name == "" {
		name = "a code of its own"
	}
	return errors.New(fmt.Sprintf("%s (%d %s)", text, r.code, name) + link.Quote(r.message, s.secret) + ": " + s.conn.Address())
}

func meaning(step string, r result) string {
	switch r.code {
	case ldap.LDAPResultInvalidCredentials:
		if text := activeDirectory(r.message); text != "" {
			return text
		}
		return "wrong user or password"
	case ldap.LDAPResultInappropriateAuthentication:
		return "the server does not let anonymous clients in"
	case ldap.LDAPResultConfidentialityRequired:
		return "the server wants TLS first"
	case ldap.LDAPResultStrongAuthRequired:
		return "the server wants TLS, or a stronger login, first"
	case ldap.LDAPResultAuthMethodNotSupported:
		return "the server does not take passwords"
	case ldap.LDAPResultNoSuchObject:
		return step + " leads nowhere that we may see"
	case ldap.LDAPResultInsufficientAccessRights:
		return step + " is not for this user"
	case ldap.LDAPResultInvalidDNSyntax:
		return step + " has a name that is no distinguished name"
	case ldap.LDAPResultUnwillingToPerform:
		return "the server is unwilling: " + step
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return "the server is not available now"
	case ldap.LDAPResultReferral:
		return step + " is for another server"
	case ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultAdminLimitExceeded, ldap.LDAPResultSizeLimitExceeded:
		return step + " takes more than the server gives"
	}
	if step == "STARTTLS" {
		return "the server does not do STARTTLS"
	}
	return step + " failed"
}

// activeDirectory reads the reason that Active Directory gives in the words of
// a refused bind (https://learn.microsoft.com/windows/win32/debug/system-error-codes).
func activeDirectory(message string) string {
	found := reason.FindStringSubmatch(message)
	if found == nil {
		return ""
	}
	return map[string]string{
		"525": "no such user",
		"52e": "wrong password",
		"530": "the user may not log in at this time",
		"531": "the user may not log in from here",
		"532": "the password has expired",
		"533": "the user is disabled",
		"701": "the user has expired",
		"773": "the user must change the password",
		"775": "the user is locked out",
	}[found[1]]
}

var reason = regexp.MustCompile(`AcceptSecurityContext error, data ([0-9a-f]+)`)
