package sites

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

func platformProofs() map[string]proof {
	well := asked(status(200))
	// checked runs the container's own check, at an address of its loopback
	// interface.
	checked := func(command string, want int) step {
		return does(func(t *testing.T, s Site) {
			t.Helper()
			command := strings.ReplaceAll(command, "8000", portOf(s.Address))
			if code := s.within(command); code != want {
				t.Errorf("%s: exit code %d, want %d", command, code, want)
			}
		})
	}
	const noSuchProgram = 127
	curl, wget := "curl -fsS http://localhost:8000/health", "wget -q --spider http://localhost:8000/health"
	late := proof{well, inLog("Listening at: ")}
	return map[string]proof{
		"image-without-curl":        {well, checked(curl, noSuchProgram)},
		"compose-without-curl":      {well, checked(curl, noSuchProgram)},
		"task-without-curl":         {well, checked(curl, noSuchProgram)},
		"healthy-image":             {well, checked(curl, 0)},
		"healthy-task":              {well, checked(curl, 0)},
		"image-wget-localhost":      {well, checked(wget, 1), checked(strings.Replace(wget, "localhost", "127.0.0.1", 1), 0)},
		"healthy-image-wget":        {well, checked(strings.Replace(wget, "localhost", "127.0.0.1", 1), 0)},
		"container-not-published":   {asked(fails(refused)), asked(fails(refused), on("127.0.0.1")), inLog("Uvicorn running on")},
		"dependency-drops":          {asked(fails(silent)), asked(status(200), path("/"))},
		"firewall-without-gcp":      {well, does(letsIn("10.0.0.0/8"))},
		"firewall-without-azure":    {well, does(letsIn("10.0.0.0/8"))},
		"healthy-firewall-gcp":      {well, does(letsIn("@balancers"))},
		"healthy-firewall-azure":    {well, does(letsIn("@balancers"))},
		"ecs-slow-start":            {well, inLog("ready in ")},
		"healthy-slow-task":         {well, inLog("ready in ")},
		"asg-cold-start":            late,
		"healthy-cold-start":        late,
		"asg-still-starting":        {asked(fails(refused)), does(answersAgain), well},
		"uwsgi-reloads-on-term":     {well, does(terminate), inLog("reloading"), does(answersAgain)},
		"healthy-uwsgi-stopsignal":  {well, does(terminate), inLog("reloading"), does(answersAgain)},
		"healthy-uwsgi-die-on-term": {well, does(terminate), inLog("goodbye to uWSGI")},
	}
}

// letsIn looks into the kernel's rules: what is not let in is dropped.
func letsIn(source string) func(*testing.T, Site) {
	return func(t *testing.T, _ Site) {
		t.Helper()
		out, err := exec.Command(servers.Need(t, "nft"), "list", "ruleset").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "policy drop") || !strings.Contains(string(out), "ip saddr "+source) && !strings.Contains(string(out), "ip saddr { "+source) {
			t.Errorf("want a rule for %s, and nobody else: %v\n%s", source, err, out)
		}
	}
}

var uwsgiMaster = regexp.MustCompile(`spawned uWSGI master process \(pid: (\d+)\)`)

// terminate sends uWSGI's master SIGTERM.
func terminate(t *testing.T, s Site) {
	t.Helper()
	m := uwsgiMaster.FindStringSubmatch(readFile(t, s.Log[0]))
	if m == nil {
		t.Fatalf("uWSGI does not name its master: %s", readFile(t, s.Log[0]))
	}
	pid, err := strconv.Atoi(m[1])
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// answersAgain waits until the site answers.
func answersAgain(t *testing.T, s Site) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a := health(s, time.Minute).send()
		if a.response != nil && a.response.StatusCode == 200 {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("after SIGTERM: %v", a)
		}
	}
}
