package awskeys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hale/checks/internal/web"
	"hale/internal/explain"
)

// metadata is the metadata service of EC2 (EC2 guide, "Retrieve instance
// metadata", "How IMDSv2 works").
type metadata struct {
	client *client
	within time.Duration // for all of it; 0: no limit
	base   *url.URL
	token  string // of version 2; empty: version 1 is asked
	odd    string // why it is version 1
}

// The way out where the token's answer is lost: it is sent with an IP hop limit
// of 1 by default, and a container's bridge is one hop more.
const raiseHopLimit = "in a container, raise the hop limit of its answer: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2"

const (
	defaultEndpoint     = "http://169.254.169.254"
	defaultIPv6Endpoint = "http://[fd00:ec2::254]"
	rolePath            = "latest/meta-data/iam/security-credentials/"
)

// Instance asks for the credentials of the instance's role, as AWS's SDKs do. The
// error is ErrNone if there is no metadata service.
func (f *Finder) Instance(ctx context.Context) (Found, error) {
	if f.InstanceTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.InstanceTime)
		defer cancel()
	}
	client := f.client()
	defer client.close()
	m, err := f.openMetadata(ctx, client)
	if err != nil {
		return Found{}, err
	}
	name, err := m.roleName(ctx)
	if err != nil {
		return Found{}, err
	}
	answer, err := m.get(ctx, rolePath+url.PathEscape(name))
	if err != nil {
		return Found{}, err
	}
	said, err := parse(answer.Body)
	if complaint := said.complaint(m.token); complaint != "" {
		return Found{}, fmt.Errorf("the instance gets no credentials of the role %s: %s%s", name, complaint, why(said.Code))
	}
	if answer.Status != http.StatusOK {
		return Found{}, m.refused("the credentials of the role "+name, answer.Status)
	}
	if err != nil {
		return Found{}, fmt.Errorf("the instance gets no credentials of the role %s: %w: %s", name, err, m.base.Host)
	}
	found := Found{Keys: said.keys(), Name: "credentials of the instance's role " + name, Role: name, Oddity: m.odd}
	if f.AskRegion && f.Region() == "" {
		if answer, err := m.get(ctx, "latest/meta-data/placement/region"); err == nil && answer.Status == http.StatusOK {
			found.Region = strings.TrimSpace(string(answer.Body))
		}
	}
	return found, nil
}

// why explains the codes that say where the fault is.
func why(code string) string {
	switch code {
	case "AssumeRoleUnauthorizedAccess":
		return " (the role's trust policy does not let ec2.amazonaws.com assume it, or the role was deleted and made anew)"
	case "InstanceProfileNotFound":
		return " (the instance profile was deleted; attach another)"
	default:
		return ""
	}
}

// openMetadata gets a token, and falls back to version 1 where AWS's SDKs would.
func (f *Finder) openMetadata(ctx context.Context, client *client) (*metadata, error) {
	if strings.EqualFold(f.Lookup("AWS_EC2_METADATA_DISABLED"), "true") {
		return nil, &explain.Error{Text: "the metadata service is not asked: the environment has AWS_EC2_METADATA_DISABLED=true", Err: ErrNone}
	}
	endpoint := f.Lookup("AWS_EC2_METADATA_SERVICE_ENDPOINT")
	if endpoint == "" && strings.EqualFold(f.Lookup("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6") {
		endpoint = defaultIPv6Endpoint
	}
	base, err := url.Parse(cmp.Or(endpoint, defaultEndpoint))
	if err != nil || base.Host == "" || base.User != nil {
		return nil, errors.New("AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL such as " + defaultEndpoint)
	}
	m := &metadata{client: client, within: budget(ctx), base: base}
	answer, err := m.askToken(ctx)
	onlyV2 := strings.EqualFold(f.Lookup("AWS_EC2_METADATA_V1_DISABLED"), "true")
	switch {
	case err == nil && answer.Status == http.StatusOK:
		m.token = strings.TrimSpace(string(answer.Body))
		return m, nil
	case errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("no metadata service: %w", err)
	case err != nil && (!explain.IsTimeout(err) || strings.HasPrefix(err.Error(), "no connection") || ctx.Err() != nil):
		return nil, &explain.Error{Text: "no metadata service: " + err.Error(), Err: errors.Join(ErrNone, err)}
	case err != nil:
		m.odd = "the request for a token of the metadata service is not answered: " + raiseHopLimit
	case onlyV2 || answer.Status == http.StatusBadRequest || answer.Status >= 500:
		return nil, m.refused("the request for a token", answer.Status)
	default: // 403, 404, 405
		m.odd = fmt.Sprintf("the metadata service gives no token (%d), and is asked without (IMDSv1): %s", answer.Status, base.Host)
	}
	if onlyV2 {
		return nil, errors.New(m.odd)
	}
	return m, nil
}

// askToken asks for a token of version 2. Half of the time is kept for a service
// that answers without.
func (m *metadata) askToken(ctx context.Context) (*web.Answer, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, m.base.JoinPath("latest/api/token").String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
	return m.client.ask(req, budget(ctx))
}

// roleName asks which role the instance has.
func (m *metadata) roleName(ctx context.Context) (string, error) {
	answer, err := m.get(ctx, rolePath)
	if err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(answer.Body)), "\n")
	name = strings.TrimSpace(name)
	switch {
	case answer.Status == http.StatusNotFound, answer.Status == http.StatusOK && name == "":
		return "", errors.New("the instance has no role: attach an instance profile to it")
	case answer.Status != http.StatusOK:
		return "", m.refused("the name of the role", answer.Status)
	case !isRoleName(name):
		return "", fmt.Errorf("something else than the metadata service answers: %s", m.base.Host)
	default:
		return name, nil
	}
}

// isRoleName reports whether s can be the name of a role (IAM API, CreateRole).
func isRoleName(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-") == ""
}

// get asks for one item. Its errors are explained.
func (m *metadata) get(ctx context.Context, path string) (*web.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	if m.token != "" {
		req.Header.Set("X-Aws-Ec2-Metadata-Token", m.token)
	}
	answer, err := m.client.ask(req, m.within)
	if err != nil && m.odd != "" {
		return nil, fmt.Errorf("no metadata service: %w; %s", err, m.odd)
	}
	if err != nil {
		return nil, fmt.Errorf("no metadata service: %w", err)
	}
	return answer, nil
}

// refused explains a status other than 200.
func (m *metadata) refused(what string, status int) error {
	text := ""
	switch {
	case status == http.StatusUnauthorized && m.token == "":
		text = "it wants a token (IMDSv2); " + m.odd
	case status == http.StatusUnauthorized:
		text = "it refuses the token that it gave"
	case status == http.StatusForbidden:
		text = "it is off for this instance (HttpEndpoint=disabled), or something on the way adds X-Forwarded-For"
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		text = "something on this machine asks it too often"
	default:
		text = http.StatusText(status)
	}
	return fmt.Errorf("the metadata service answers %d to %s: %s: %s", status, what, text, m.base.Host)
}
