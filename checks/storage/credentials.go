package storage

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/checks/internal/web"
)

// roles holds the keys of a role until shortly before they expire.
type roles struct{ keys aws.Credentials }

// renewal is how long before the end of its keys a role is asked for new ones,
// which are there by then.
const renewal = 5 * time.Minute

// credentials finds keys where AWS's own tools do, in their order.
func (c *Check) credentials(ctx context.Context, profile profile, within time.Duration) (aws.Credentials, error) {
	if c.AccessKeyID != "" {
		return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	}
	if c.Profile == "" {
		if id, secret := c.lookup("AWS_ACCESS_KEY_ID"), c.lookup("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: c.lookup("AWS_SESSION_TOKEN")}, nil
		}
	}
	if c.Profile == "" && c.lookup("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		return aws.Credentials{}, errors.New("no credentials: AWS_WEB_IDENTITY_TOKEN_FILE is set, and a role is not assumed here: set access_key_id and secret_access_key")
	}
	if profile.keys.HasKeys() {
		return profile.keys, nil
	}
	if c.Profile != "" {
		return aws.Credentials{}, fmt.Errorf("profile %q has no access key in the shared credentials file", c.Profile)
	}
	if c.roles.keys.HasKeys() && time.Until(c.roles.keys.Expires) > renewal {
		return c.roles.keys, nil
	}
	keys, err := c.roleKeys(ctx, within)
	if err == nil {
		c.roles.keys = keys
	}
	return keys, err
}

func (c *Check) roleKeys(ctx context.Context, within time.Duration) (aws.Credentials, error) {
	if relative := c.lookup("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		return c.containerKeys(ctx, "http://169.254.170.2"+relative, within)
	}
	if full := c.lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI"); full != "" {
		return c.containerKeys(ctx, full, within)
	}
	if strings.EqualFold(c.lookup("AWS_EC2_METADATA_DISABLED"), "true") {
		return aws.Credentials{}, errNoKeys
	}
	return c.instanceKeys(ctx, within)
}

// containerKeys asks the agent of ECS or EKS for the keys of the task's role.
func (c *Check) containerKeys(ctx context.Context, from string, within time.Duration) (aws.Credentials, error) {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" || u.Scheme != "https" && !isAgent(u.Hostname()) {
		return aws.Credentials{}, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of an agent on this machine")
	}
	token := c.lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := c.lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		content, err := readFile(file)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
		}
		token = strings.TrimSpace(string(content))
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", token)
	}
	transport := web.Transport(nil)
	defer transport.CloseIdleConnections()
	answer, err := ask(ctx, transport, http.MethodGet, u, header, within)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("no credentials: the task's role: %w", err)
	}
	keys, err := parseKeys(answer)
	if err != nil {
		return keys, fmt.Errorf("no credentials: the task's role: %w: %s", err, web.Address(u))
	}
	return keys, nil
}

// isAgent reports whether a host is one where AWS's tools send the token of a
// container without TLS.
func isAgent(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	switch ip.String() {
	case "169.254.170.2", "169.254.170.23", "fd00:ec2::23":
		return true
	}
	return ip.IsLoopback()
}

// instanceTime bounds how long the metadata service of EC2 is waited for: off
// EC2, nobody answers.
const instanceTime = time.Second

// instanceKeys asks the metadata service of EC2, version 2, for the keys of the
// instance's role
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html).
func (c *Check) instanceKeys(ctx context.Context, within time.Duration) (aws.Credentials, error) {
	endpoint, err := url.Parse(cmp.Or(c.lookup("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "http://169.254.169.254"))
	if err != nil {
		return aws.Credentials{}, errors.New("AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL")
	}
	ctx, cancel := context.WithTimeout(ctx, instanceTime)
	defer cancel()
	transport := web.Transport(nil)
	defer transport.CloseIdleConnections()
	token, err := ask(ctx, transport, http.MethodPut, endpoint.JoinPath("latest/api/token"),
		http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}}, within)
	if err != nil || token.Status != http.StatusOK {
		return aws.Credentials{}, errNoKeys // this is no EC2 instance
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {strings.TrimSpace(string(token.Body))}}
	where := endpoint.JoinPath("latest/meta-data/iam/security-credentials/")
	role, err := ask(ctx, transport, http.MethodGet, where, header, within)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("no credentials: the instance's role: %w", err)
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(role.Body)), "\n")
	if role.Status != http.StatusOK || name == "" {
		return aws.Credentials{}, errors.New("no credentials: the instance has no role")
	}
	answer, err := ask(ctx, transport, http.MethodGet, where.JoinPath(name), header, within)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("no credentials: the instance's role: %w", err)
	}
	keys, err := parseKeys(answer)
	if err != nil {
		return keys, fmt.Errorf("no credentials: the instance's role %q: %w", name, err)
	}
	return keys, nil
}

func ask(ctx context.Context, transport *http.Transport, method string, u *url.URL, header http.Header, within time.Duration) (*web.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "hale/"+web.Version()+" storage check")
	const maxKeys = 64 << 10
	return web.Exchange(transport, req, web.Address(u), within, maxKeys)
}

// parseKeys reads the keys of a role. No error repeats any of it.
func parseKeys(answer *web.Answer) (aws.Credentials, error) {
	if answer.Status != http.StatusOK {
		return aws.Credentials{}, fmt.Errorf("answers %d", answer.Status)
	}
	var said struct {
		Code                                string
		AccessKeyId, SecretAccessKey, Token string //nolint:revive // AWS's names
		Expiration                          time.Time
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil || said.Code != "" && said.Code != "Success" || said.AccessKeyId == "" {
		return aws.Credentials{}, errors.New("the answer has no keys")
	}
	return aws.Credentials{
		AccessKeyID: said.AccessKeyId, SecretAccessKey: said.SecretAccessKey, SessionToken: said.Token,
		CanExpire: true, Expires: said.Expiration,
	}, nil
}

// profile is what the shared files say of one profile.
type profile struct {
	keys   aws.Credentials
	region string
}

// readProfile reads the shared credentials file and the shared config file
// (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html). They may
// be missing.
func (c *Check) readProfile() (profile, error) {
	name := cmp.Or(c.Profile, c.lookup("AWS_PROFILE"), "default")
	home := filepath.Join(c.lookup("HOME"), ".aws")
	values := make(map[string]string)
	for _, source := range []struct{ file, section string }{
		{cmp.Or(c.lookup("AWS_CONFIG_FILE"), filepath.Join(home, "config")), "profile " + name},
		{cmp.Or(c.lookup("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, "credentials")), name},
	} {
		content, err := readFile(source.file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && c.Profile == "" {
			continue
		}
		if err != nil {
			return profile{}, fmt.Errorf("shared credentials: %w", err)
		}
		readSection(content, values, source.section, name)
	}
	return profile{
		keys: aws.Credentials{
			AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"],
		},
		region: values["region"],
	}, nil
}

// readSection adds the settings of a section, which has one of two names: in the
// config file, default goes without the word profile.
func readSection(content []byte, values map[string]string, names ...string) {
	in := false
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if inner, ok := strings.CutPrefix(line, "["); ok {
			section, _, _ := strings.Cut(inner, "]")
			section = strings.Join(strings.Fields(section), " ")
			in = section == names[0] || section == names[1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if in && ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
}

// readFile reads a file of settings.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 1<<20))
}
