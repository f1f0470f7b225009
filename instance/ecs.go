package instance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// taskEndpointVariable is set by the ECS agent (1.39 and later) and by Fargate
// (platform 1.4 and later) in every container.
const taskEndpointVariable = "ECS_CONTAINER_METADATA_URI_V4"

// task asks the ECS task metadata endpoint, version 4 (ECS guide, "Task
// metadata endpoint version 4").
type task struct {
	endpoint string
	wire     *wire
}

func newTask(endpoint string, dial dialFunc) *task {
	return &task{strings.TrimSuffix(endpoint, "/"), newWire(dial)}
}

// The parts of the answers that matter here.
type (
	taskDocument struct {
		TaskARN          string
		AvailabilityZone string
		LaunchType       string
	}
	containerDocument struct {
		Networks []struct {
			NetworkMode   string
			IPv4Addresses []string
			IPv6Addresses []string
		}
	}
)

func (t *task) ask(ctx context.Context) (answer, error) {
	a := answer{source: ECS}
	defer t.wire.close()
	if u, err := url.Parse(t.endpoint); err != nil || u.Host == "" {
		return a, fmt.Errorf("%s is %s, which is no URL", taskEndpointVariable, quote(t.endpoint))
	}
	t.wire.begin()
	var container containerDocument
	if err := t.get(ctx, "", &container); err != nil {
		return a, err
	}
	var doc taskDocument
	errTask := t.get(ctx, "/task", &doc)
	a.found, a.partial = true, errTask != nil

	var notes notes
	notes.add(errTask)
	for _, n := range container.Networks {
		// awsvpc: the task's own interface, the target of a load balancer. Any
		// other: an address behind the host's, which is the target.
		a.behind = a.behind || n.NetworkMode != "awsvpc"
		for _, list := range [][]string{n.IPv4Addresses, n.IPv6Addresses} {
			a.private = append(a.private, notes.addresses("Networks", strings.Join(list, " "))...)
		}
	}
	a.task = doc.TaskARN
	a.zone = doc.AvailabilityZone
	a.region = regionOf(doc.TaskARN)
	_, a.taskID, _ = cutLast(doc.TaskARN, "/")
	if doc.LaunchType == "FARGATE" {
		a.kind = "fargate"
	}
	return a, notes.err()
}

// get reads one JSON document of the task metadata endpoint.
func (t *task) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.endpoint+path, nil)
	if err != nil {
		return fmt.Errorf("ECS task metadata: %w", err)
	}
	resp, err := t.wire.Do(req)
	if err != nil {
		return fmt.Errorf("no ECS task metadata at %s%s: %w", t.endpoint, path, shorten(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ECS task metadata: %s%s answers %d %s", t.endpoint, path, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return fmt.Errorf("ECS task metadata: %w", err)
	}
	if err := json.Unmarshal(body.Bytes(), v); err != nil {
		return errors.New("ECS task metadata: " + t.endpoint + path + " answers something that is not its JSON document")
	}
	return nil
}

// regionOf takes the region out of arn:partition:service:region:account:resource.
func regionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ""
	}
	return parts[3]
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
