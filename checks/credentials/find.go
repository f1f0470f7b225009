package credentials

import (
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

	"hale/checks/internal/explain"
	"hale/checks/internal/web"
)

// found are credentials, and what is known of them.
type found struct {
	keys   aws.Credentials
	name   string // for messages
	role   string // its name; empty: they are nobody's, or it is not told
	region string // of the instance; empty: not known
	oddity string // what somebody should look at; may be empty
}

// client sends the requests of one run.
type client struct {
	transport *http.Transport
	within    time.Duration // the run's whole time; 0: no limit
}

func newClient(ctx context.Context) *client {
	within, _ := explain.Budget(ctx, time.Now())
	return &client{web.Transport(nil), within}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 10

// ask sends a request. Its errors are explained.
func (c *client) ask(req *http.Request) (*web.Answer, error) {
	req.Header.Set("User-Agent", "hale/"+web.Version()+" credentials check")
	return web.Exchange(c.transport, req, req.URL.Host, c.within, maxAnswer)
}

func (c *Check) lookup(name string) string {
	lookup := c.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, _ := lookup(name)
	return value
}

// find gets the credentials from the source, or from the first that has any.
func (c *Check) find(ctx context.Context, client *client) (found, error) {
	switch c.Source {
	case Environment:
		return c.environment()
	case File:
		return c.file()
	case Container:
		return c.container(ctx, client)
	case Instance:
		return c.instance(ctx, client)
	case Auto:
	}
	if c.lookup("AWS_ACCESS_KEY_ID") != "" {
		return c.environment()
	}
	if c.lookup("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		return found{}, errors.New("AWS_WEB_IDENTITY_TOKEN_FILE is set: the app's SDK gets its credentials with that token, which is not known here; name another source, or check what the app does with them")
	}
	switch f, err := c.file(); {
	case err == nil:
		return f, nil
	case !errors.Is(err, errNoKeys):
		return found{}, err
	}
	if c.agent() != "" {
		return c.container(ctx, client)
	}
	return c.instance(ctx, client)
}

// errNoKeys says that a source has no credentials, so that the next is tried.
var errNoKeys = errors.New("no credentials")

func (c *Check) environment() (found, error) {
	keys := aws.Credentials{
		AccessKeyID: c.lookup("AWS_ACCESS_KEY_ID"), SecretAccessKey: c.lookup("AWS_SECRET_ACCESS_KEY"), SessionToken: c.lookup("AWS_SESSION_TOKEN"),
	}
	for _, variable := range []struct{ name, value string }{{"AWS_ACCESS_KEY_ID", keys.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", keys.SecretAccessKey}} {
		if variable.value == "" {
			return found{}, fmt.Errorf("not set: %s", variable.name)
		}
	}
	return found{keys: keys, name: "keys of the environment (AWS_ACCESS_KEY_ID)"}, nil
}

// file reads the keys of a profile in the shared credentials file.
func (c *Check) file() (found, error) {
	path := cmp.Or(c.lookup("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(c.lookup("HOME"), ".aws", "credentials"))
	profile := cmp.Or(c.lookup("AWS_PROFILE"), "default")
	content, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found{}, fmt.Errorf("%w: no such file: %s", errNoKeys, path)
	case err != nil:
		return found{}, fmt.Errorf("%s: %s", explain.Innermost(err), path)
	}
	values := section(string(content), profile)
	keys := aws.Credentials{
		AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"],
	}
	if !keys.HasKeys() {
		return found{}, fmt.Errorf("%w: no keys of the profile %s in %s", errNoKeys, profile, path)
	}
	return found{keys: keys, name: fmt.Sprintf("keys of the profile %s in %s", profile, path)}, nil
}

// readFile reads a file, of which it takes no more than it should have.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 1<<20))
}

// section returns the settings of one section of the shared credentials file
// (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
func section(content, name string) map[string]string {
	values := make(map[string]string)
	in := false
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if inner, ok := strings.CutPrefix(line, "["); ok {
			title, _, _ := strings.Cut(inner, "]")
			in = strings.TrimSpace(title) == name
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if in && ok && line[0] != '#' && line[0] != ';' {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return values
}

// taskAgent is where the agent of ECS listens.
const taskAgent = "http://169.254.170.2"

// agent returns the URL of the container's credentials; empty if it has none.
// The relative one goes before, as in AWS's SDKs.
func (c *Check) agent() string {
	if relative := c.lookup("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		return taskAgent + relative
	}
	return c.lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

// container asks the agent of ECS ("IAM roles for tasks") or of EKS Pod Identity.
func (c *Check) container(ctx context.Context, client *client) (found, error) {
	agent := c.agent()
	if agent == "" {
		return found{}, errors.New("not set: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI; the task has no role, or this is no task")
	}
	u, err := url.Parse(agent)
	if err != nil || u.Host == "" {
		return found{}, errors.New("the variables AWS_CONTAINER_CREDENTIALS_* hold no URL")
	}
	if u.Scheme != "https" && !isAgent(u.Hostname()) {
		return found{}, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of an agent on this machine")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return found{}, errors.New("the variables AWS_CONTAINER_CREDENTIALS_* hold no URL")
	}
	token, err := c.agentToken()
	if err != nil {
		return found{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	answer, err := client.ask(req)
	if err != nil {
		return found{}, fmt.Errorf("no answer of the container's credentials: %w", err)
	}
	said, err := parse(answer.Body)
	switch {
	case answer.Status != http.StatusOK && said.text() != "":
		return found{}, fmt.Errorf("no credentials for the container: %d, %s: %s", answer.Status, said.text(), u.Host)
	case answer.Status != http.StatusOK:
		return found{}, fmt.Errorf("no credentials for the container: %d %s: %s", answer.Status, http.StatusText(answer.Status), u.Host)
	case err != nil:
		return found{}, fmt.Errorf("no credentials for the container: %w: %s", err, u.Host)
	}
	f := found{keys: said.keys(), name: "credentials of the container", role: said.RoleArn[strings.LastIndex(said.RoleArn, "/")+1:]}
	if f.role != "" {
		f.name += "'s role " + explain.Line(f.role)
	}
	return f, nil
}

// agentToken is what the agent of EKS wants to see; it changes.
func (c *Check) agentToken() (string, error) {
	file := c.lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
	if file == "" {
		return c.lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN"), nil
	}
	content, err := readFile(file)
	if err != nil {
		return "", fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s: %s", explain.Innermost(err), file)
	}
	token := strings.TrimSpace(string(content))
	if strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: more than one line: %s", file)
	}
	return token, nil
}

// isAgent reports whether a host is one to which AWS's SDKs send a token
// without TLS.
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

// answer is the JSON document of credentials, of the metadata service and of
// the agents alike; those complain in small letters.
type answer struct {
	Code                                string
	Message                             string
	RoleArn                             string
	AccessKeyId, SecretAccessKey, Token string //nolint:revive // AWS's names
	Expiration                          time.Time
}

// parse reads the document. It returns what it could read also with an error,
// which repeats none of it.
func parse(body []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return answer{}, errors.New("the answer is not the document that it should be")
	}
	if a.AccessKeyId == "" || a.SecretAccessKey == "" {
		return a, errors.New("the answer has no keys")
	}
	return a, nil
}

func (a answer) keys() aws.Credentials {
	return aws.Credentials{
		AccessKeyID: a.AccessKeyId, SecretAccessKey: a.SecretAccessKey, SessionToken: a.Token,
		CanExpire: !a.Expiration.IsZero(), Expires: a.Expiration,
	}
}

// text is the complaint of a document without keys; empty if there is none.
func (a answer) text() string {
	switch code, message := explain.Line(a.Code), explain.Line(a.Message); {
	case a.AccessKeyId != "" || code == "":
		return ""
	case message == "":
		return code
	default:
		return code + ": " + message
	}
}
