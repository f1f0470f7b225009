package awskeys

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"hale/internal/explain"
)

// taskAgent is where the agent of ECS listens.
const taskAgent = "http://169.254.170.2"

// containerURL returns the URL of the container's credentials; empty if it has
// none. The relative one goes before, as in AWS's SDKs.
func (f *Finder) containerURL() string {
	if relative := f.Lookup("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		return taskAgent + relative
	}
	return f.Lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

// Container asks the agent of ECS ("IAM roles for tasks") or of EKS Pod Identity.
func (f *Finder) Container(ctx context.Context) (Found, error) {
	agent := f.containerURL()
	if agent == "" {
		return Found{}, errors.New("not set: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI; the task has no role, or this is no task")
	}
	u, err := url.Parse(agent)
	if err != nil || u.Host == "" {
		return Found{}, errors.New("the variables AWS_CONTAINER_CREDENTIALS_* hold no URL")
	}
	if u.Scheme != "https" && !isAgent(u.Hostname()) {
		return Found{}, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of an agent on this machine")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Found{}, errors.New("the variables AWS_CONTAINER_CREDENTIALS_* hold no URL")
	}
	token, err := f.agentToken()
	if err != nil {
		return Found{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	client := f.client()
	defer client.close()
	answer, err := client.ask(req, budget(ctx))
	if err != nil {
		return Found{}, fmt.Errorf("no answer of the container's credentials: %w", err)
	}
	said, err := parse(answer.Body)
	switch complaint := said.complaint(token); {
	case complaint != "":
		return Found{}, fmt.Errorf("no credentials for the container: %d, %s: %s", answer.Status, complaint, u.Host)
	case answer.Status != http.StatusOK:
		return Found{}, fmt.Errorf("no credentials for the container: %d %s: %s", answer.Status, http.StatusText(answer.Status), u.Host)
	case err != nil:
		return Found{}, fmt.Errorf("no credentials for the container: %w: %s", err, u.Host)
	}
	found := Found{Keys: said.keys(), Name: "credentials of the container", Role: said.RoleArn[strings.LastIndex(said.RoleArn, "/")+1:]}
	if found.Role != "" {
		found.Name += "'s role " + explain.Line(found.Role)
	}
	return found, nil
}

// agentToken is what the agent of EKS wants to see; it changes.
func (f *Finder) agentToken() (string, error) {
	file := f.Lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
	if file == "" {
		return f.Lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN"), nil
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
