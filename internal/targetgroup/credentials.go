package targetgroup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"hale/internal/awsprofile"
	"hale/internal/explain"
)

// profile is the settings of the shared files that count.
type profile struct {
	name        string
	asked       bool // somebody named it
	found       bool // a file has it
	credentials map[string]string
	config      map[string]string
	files       [2]awsprofile.File
}

// openProfile reads the shared files. One that is not there, or may not be read,
// is gone without, as AWS's SDKs do.
func openProfile(lookup func(string) string, name string) (profile, error) {
	p := profile{name: awsprofile.Name(lookup, name), asked: name != "" || lookup("AWS_PROFILE") != ""}
	p.files = awsprofile.Files(lookup, p.name)
	for i, into := range []*map[string]string{&p.credentials, &p.config} {
		values, err := p.files[i].Values()
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return p, fmt.Errorf("%s: %s", explain.Innermost(err), p.files[i].Path)
		}
		*into, p.found = values, p.found || values != nil
	}
	if p.asked && !p.found {
		return p, fmt.Errorf("no profile %s in %s or %s: aws configure list-profiles lists those that there are", explain.Line(p.name), p.files[0].Path, p.files[1].Path)
	}
	return p, nil
}

func (p profile) title() string { return "profile " + explain.Line(p.name) }

// value returns a setting; that of the credentials file goes before.
func (p profile) value(key string) string { return cmp.Or(p.credentials[key], p.config[key]) }

// keys returns those of one of the files, as a pair.
func (p profile) keys() (aws.Credentials, bool) {
	for _, values := range []map[string]string{p.credentials, p.config} {
		keys := aws.Credentials{
			AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"],
		}
		if keys.HasKeys() {
			return keys, true
		}
	}
	return aws.Credentials{}, false
}

// elsewhere tells how a profile gets its keys where it does not hold them: by
// ways that AWS's command knows, and that are not built in here.
func (p profile) elsewhere() string {
	for _, way := range []struct{ key, how string }{
		{"sso_session", "by single sign-on"},
		{"sso_start_url", "by single sign-on"},
		{"login_session", "by aws login"},
		{"role_arn", "by assuming a role"},
		{"credential_process", "from a program"},
		{"web_identity_token_file", "with a token"},
	} {
		if p.value(way.key) != "" {
			return way.how
		}
	}
	return ""
}

// dummies are for an endpoint on this machine, which looks at no key.
var dummies = aws.Credentials{AccessKeyID: "hale", SecretAccessKey: "hale"}

// findKeys returns the credentials of the first source that has any, in the
// order of AWS's SDKs: environment, shared files, container, instance. A named
// profile goes before the environment. For an endpoint on this machine nobody is
// asked, and dummies do. No error repeats a key or a token.
func findKeys(ctx context.Context, lookup func(string) string, p profile, local bool) (aws.Credentials, error) {
	static, inFile := p.keys()
	exported := aws.Credentials{
		AccessKeyID: lookup("AWS_ACCESS_KEY_ID"), SecretAccessKey: lookup("AWS_SECRET_ACCESS_KEY"), SessionToken: lookup("AWS_SESSION_TOKEN"),
	}
	how := p.elsewhere()
	switch {
	case exported.HasKeys():
		return exported, nil
	case inFile && p.value("role_arn") == "":
		return static, nil
	case local:
		return dummies, nil
	case exported.AccessKeyID != "":
		return aws.Credentials{}, errors.New("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not: set both, or neither")
	case how != "":
		return aws.Credentials{}, fmt.Errorf(`%s gets its keys %s, which hale leaves to the aws command: eval "$(aws configure export-credentials --profile %s --format env)", and run hale again`, p.title(), how, explain.Line(p.name))
	case lookup("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return aws.Credentials{}, errors.New(`AWS_WEB_IDENTITY_TOKEN_FILE is set, and hale leaves signing in with it to the aws command: eval "$(aws configure export-credentials --format env)", and run hale again`)
	case agentURL(lookup) != "":
		return containerKeys(ctx, lookup)
	}
	keys, err := instanceKeys(ctx, lookup)
	if err != nil {
		return keys, fmt.Errorf("no AWS credentials: none in the environment (AWS_ACCESS_KEY_ID), none of %s in %s or %s, and no role of an instance (%w): sign in with aws configure or aws sso login, or set AWS_PROFILE",
			p.title(), p.files[0].Path, p.files[1].Path, err)
	}
	return keys, nil
}

// Limits for the agents on the machine: until one is reached, since off EC2 there
// is mostly nobody at its address, and in all.
const (
	reaching = 2 * time.Second
	asking   = 10 * time.Second
)

// agentURL is where a container gets its role's credentials; the relative form
// goes before the full one, as in AWS's SDKs.
func agentURL(lookup func(string) string) string {
	if relative := lookup("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		return "http://169.254.170.2" + relative
	}
	return lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

// containerKeys asks the agent of ECS or EKS.
func containerKeys(ctx context.Context, lookup func(string) string) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	agent, err := url.Parse(agentURL(lookup))
	if err != nil || agent.Host == "" || agent.Scheme != "https" && !isAgent(agent.Hostname()) {
		return aws.Credentials{}, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor the address of an agent on this machine")
	}
	token := lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s: %s", explain.Innermost(err), file)
		}
		token = strings.TrimSpace(string(content))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, agent.String(), nil)
	if err != nil {
		return aws.Credentials{}, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL")
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: reaching}).DialContext} // no proxy: the agent is on this machine
	res, err := transport.RoundTrip(req)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("no credentials for the container: %w", explain.Network(err, agent.Host))
	}
	defer res.Body.Close()
	keys, err := decodeKeys(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return aws.Credentials{}, fmt.Errorf("no credentials for the container: the agent at %s answered %d: does the task have a role?", agent.Host, res.StatusCode)
	}
	return keys, nil
}

// isAgent tells the addresses to which AWS's SDKs send a token without TLS.
func isAgent(host string) bool {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	switch address.String() {
	case "169.254.170.2", "169.254.170.23", "fd00:ec2::23":
		return true
	}
	return address.IsLoopback()
}

// rolePath is where the metadata service of EC2 has the role's credentials (EC2
// guide, "Retrieve security credentials from instance metadata").
const rolePath = "iam/security-credentials/"

// instanceKeys asks the metadata service of EC2.
func instanceKeys(ctx context.Context, lookup func(string) string) (aws.Credentials, error) {
	if strings.EqualFold(lookup("AWS_EC2_METADATA_DISABLED"), "true") {
		return aws.Credentials{}, errors.New("AWS_EC2_METADATA_DISABLED is true")
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	endpoint := lookup("AWS_EC2_METADATA_SERVICE_ENDPOINT")
	if endpoint == "" && strings.EqualFold(lookup("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6") {
		endpoint = "http://[fd00:ec2::254]"
	}
	client := imds.New(imds.Options{
		Endpoint:   cmp.Or(endpoint, "http://169.254.169.254"),
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: reaching}).DialContext}},
		Retryer:    aws.NopRetryer{},
	})
	read := func(path string) (io.ReadCloser, error) {
		out, err := client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
		if err != nil {
			return nil, err
		}
		return out.Content, nil
	}
	content, err := read(rolePath)
	if err != nil {
		return aws.Credentials{}, errors.New("the metadata service does not answer")
	}
	name, err := io.ReadAll(io.LimitReader(content, 4096))
	_ = content.Close()
	role, _, _ := strings.Cut(strings.TrimSpace(string(name)), "\n")
	if err != nil || role == "" {
		return aws.Credentials{}, errors.New("the instance has none")
	}
	content, err = read(rolePath + role)
	if err != nil {
		return aws.Credentials{}, errors.New("the metadata service does not give its credentials")
	}
	defer content.Close()
	return decodeKeys(content)
}

// decodeKeys reads the form that the agents of EC2, ECS and EKS share.
func decodeKeys(from io.Reader) (aws.Credentials, error) {
	var said struct{ AccessKeyID, SecretAccessKey, Token string }
	if err := json.NewDecoder(io.LimitReader(from, 64<<10)).Decode(&said); err != nil {
		return aws.Credentials{}, errors.New("the credentials are no JSON")
	}
	keys := aws.Credentials{AccessKeyID: said.AccessKeyID, SecretAccessKey: said.SecretAccessKey, SessionToken: said.Token}
	if !keys.HasKeys() {
		return keys, errors.New("the credentials have no keys")
	}
	return keys, nil
}
