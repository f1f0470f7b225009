// Package elasticsearch checks the health of an Elasticsearch or OpenSearch
// cluster.
package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/checks"
	"hale/checks/internal/trust"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

// maxBody bounds how much of an answer is read, in bytes: the health of the
// cluster is half a KiB, of one index as much again.
const maxBody = 1 << 20

// Check asks a node for the health of its cluster (GET /_cluster/health), or of
// some indices.
//
// It proves that the node can be reached, accepts the credentials, has a master,
// and that the primary shards are there ("yellow") or also all replicas
// ("green"); with MinNodes that the cluster is as large as it should be. It does
// not prove that a search is answered in time. It costs one connection and one
// request a run, which the master answers from what it knows. It needs the
// privilege to monitor the cluster.
//
//	&elasticsearch.Check{URL: "https://elastic:secret@search.internal:9200", MinNodes: 3}
type Check struct {
	URL       string `yaml:"url" jsonschema:"required" jsonschema_description:"A node, or a load balancer before the nodes: https://USER:PASSWORD@HOST:9200; a path may follow."`
	APIKey    string `yaml:"api_key" jsonschema_description:"An API key in place of user and password, as Elasticsearch shows it (encoded, or ID:KEY)."`
	Index     string `yaml:"index" jsonschema_description:"Ask about these indices alone: names, aliases or patterns, separated by commas."`
	Yellow    string `yaml:"yellow" jsonschema:"enum=pass,enum=warn,enum=fail,default=warn" jsonschema_description:"What yellow means: all data is there, but replicas are missing. A cluster of one node is rarely anything else."`
	Cluster   string `yaml:"cluster" jsonschema_description:"The name that the cluster must have."`
	WarnNodes int    `yaml:"warn_nodes" jsonschema_description:"Warn when the cluster has fewer nodes."`
	MinNodes  int    `yaml:"min_nodes" jsonschema_description:"Fail when the cluster has fewer nodes."`

	CA          string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses a URL that cannot be asked, and options that contradict one
// another. The error never contains the URL: it may hold a password.
func (c *Check) Validate() error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	u, err := c.url()
	if err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	}
	refuse(!slices.Contains([]string{"", "pass", "warn", "fail"}, c.Yellow), "yellow", "%q is none of pass, warn and fail", c.Yellow)
	refuse(c.WarnNodes < 0, "warn_nodes", "%d is negative", c.WarnNodes)
	refuse(c.MinNodes < 0, "min_nodes", "%d is negative", c.MinNodes)
	refuse(c.WarnNodes > 0 && c.WarnNodes < c.MinNodes, "warn_nodes", "%d is less than min_nodes (%d): the check would fail before it warns", c.WarnNodes, c.MinNodes)
	refuse(strings.ContainsAny(c.Index, "/?# "), "index", "%q is not a list of indices: write names separated by commas", c.Index)
	refuse(strings.ContainsFunc(c.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }), "api_key", "holds a space or a special character")
	if u != nil {
		refuse(c.APIKey != "" && u.User != nil, "api_key", "is one way to log in, the user in url another: remove one of them")
		if u.Scheme == "http" {
			errs = append(errs, c.trust().WithoutTLS("write https:// in url"))
		}
	}
	return errors.Join(append(errs, c.trust().Validate())...)
}

func (c *Check) url() (*url.URL, error) {
	if c.URL == "" {
		return nil, errors.New("is missing: write https://USER:PASSWORD@HOST:9200")
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		// The parser's error quotes its input.
		return nil, errors.New("is not a URL: write https://USER:PASSWORD@HOST:9200, with special characters in user and password percent-encoded")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is neither an http nor an https URL: write https://USER:PASSWORD@HOST:9200")
	case u.Hostname() == "":
		return nil, errors.New("has no host: write https://USER:PASSWORD@HOST:9200")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("ends in a query or a fragment, perhaps since a password is not percent-encoded: write https://USER:PASSWORD@HOST:9200")
	}
	return u, nil
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	within, _ := explain.Budget(ctx, time.Now())
	u, err := c.url()
	if err != nil {
		return "", fmt.Errorf("url %w", err)
	}
	where := web.Address(u)
	config, err := c.trust().Config(u.Hostname())
	if err != nil {
		return "", err
	}
	request, err := c.request(ctx, u)
	if err != nil {
		return "", err
	}
	transport := web.Transport(config)
	defer transport.CloseIdleConnections()
	answer, err := web.Exchange(transport, request, where, within, maxBody)
	if err != nil {
		return "", err
	}
	output, err := c.judge(answer)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, where)
	}
	return output + ": " + where, nil
}

// longest bounds how long a node may wait for a master to be elected.
const longest = 2 * time.Second

func (c *Check) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	health := u.JoinPath("_cluster", "health")
	query := url.Values{}
	if c.Index != "" {
		health = health.JoinPath(c.Index)
		query.Set("level", "indices")
	}
	// Without a master, and with an index that is not there, the node waits for
	// this long, and then says so.
	wait := longest
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, min(wait, time.Until(deadline)/2))
	}
	query.Set("timeout", strconv.FormatInt(wait.Milliseconds(), 10)+"ms")
	health.RawQuery = query.Encode()
	health.User = nil
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, health.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	request.Header.Set("User-Agent", "hale/"+web.Version()+" elasticsearch check")
	request.Header.Set("Accept", "application/json")
	if c.APIKey != "" {
		request.Header.Set("Authorization", "ApiKey "+encoded(c.APIKey))
	} else if u.User != nil {
		password, _ := u.User.Password()
		request.SetBasicAuth(u.User.Username(), password)
	}
	return request, nil
}
