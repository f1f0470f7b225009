package machine

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// started starts a program that waits, with an environment of its own.
func started(t *testing.T, env ...string) Process {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(sleep, "600")
	cmd.Env, cmd.Dir = env, t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p, err := Inspect(cmd.Process.Pid)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFindProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"applet": filepath.Join(dir, "tool"), "near": "./tool", "gone": "nowhere", "round": "round"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	own, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := started(t, "PATH=/nowhere:"+dir)
	for _, test := range []struct {
		name, want string
		missing    bool
	}{
		{"tool", filepath.Join(own, "tool"), false},
		{"applet", filepath.Join(own, "tool"), false},
		{"near", filepath.Join(own, "tool"), false},
		{filepath.Join(dir, "tool"), filepath.Join(own, "tool"), false},
		{"text", "", true},
		{"gone", "", true},
		{"curl-that-nobody-has", "", true},
		{"/nowhere/curl", "", true},
		{filepath.Join(dir, "tool", "curl"), "", true},
	} {
		got, err := p.FindProgram(test.name)
		if got != test.want || errors.Is(err, fs.ErrNotExist) != test.missing {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
	if _, err := p.FindProgram("round"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to itself: %v", err)
	}
	if got, err := started(t).FindProgram("sh"); err != nil || filepath.Dir(got) == "." {
		t.Errorf("without PATH: %q, %v", got, err)
	}
}

func TestContainer(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Container{
		"ECS_CONTAINER_METADATA_URI_V4": ECS, "ECS_CONTAINER_METADATA_URI": ECS, "KUBERNETES_SERVICE_HOST": Kubernetes,
	} {
		if by, sign := started(t, name+"=secret").Container(); by != want || sign != name+" in its environment" {
			t.Errorf("%s: %q, %q", name, by, sign)
		}
	}
}

func TestReadFileOfProcess(t *testing.T) {
	t.Parallel()
	p := started(t)
	if err := os.WriteFile(filepath.Join(p.Dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(p.Dir, "deploy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if content, err := p.ReadFile("Dockerfile", 100); err != nil || string(content) != "FROM scratch\n" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := p.ReadFile("Dockerfile", 5); err == nil {
		t.Error("a file that is too long was read")
	}
	if names, err := p.ReadDir("."); err != nil || len(names) != 1 || names[0] != "Dockerfile" {
		t.Errorf("%q, %v", names, err)
	}
	if p.OwnNetwork() {
		t.Error("it has our network")
	}
}
