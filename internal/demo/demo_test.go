package demo

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hale/internal/balancer/configuration"
	"hale/internal/config"
)

// An instance is run as the configurations say, wherever the demo is.
func TestConfigurations(t *testing.T) {
	for _, name := range []string{"plain", "with space", `q"uote`, "$HOME", "${HOME}", "a'b", `back\slash`} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			d := demo{
				options: Options{Program: filepath.Join(dir, "hale")}, files: files{dir: dir}, port: 8099,
				places: Places{Dir: dir, Site: "127.0.0.1:8080", Panel: "127.0.0.1:8081", API: "127.0.0.1:8087", Admin: "127.0.0.1:8088"},
			}
			if err := d.files.make(); err != nil {
				t.Fatal(err)
			}
			d.fleet = &fleet{files: d.files, program: d.options.Program, schema: 3}
			for _, warn := range []bool{true, false} {
				if err := d.fleet.configure(warn); err != nil || d.fleet.warns() != warn {
					t.Fatalf("%v, warns: %v", err, d.fleet.warns())
				}
			}
			env := map[string]string{"HALE_ADDRESS": "127.64.0.1", "PORT": "8099", instanceVariable: "i-1"}
			serve, err := config.Load(d.files.haleYAML(), config.Options{Env: func(name string) (string, bool) { value, ok := env[name]; return value, ok }})
			if err != nil {
				t.Fatal(err)
			}
			if want := "unix://" + filepath.Join(dir, "run", "i-1.sock"); string(serve.App.URL) != want || serve.App.Command[0] != d.options.Program {
				t.Errorf("the app is %v at %s, want %s", serve.App.Command, serve.App.URL, want)
			}

			if err := d.configureBalance(); err != nil {
				t.Fatal(err)
			}
			balance, err := configuration.Load(d.files.balanceYAML(), configuration.Options{Env: func(string) (string, bool) { return "", false }})
			if err != nil {
				t.Fatal(err)
			}
			templates := balance.Templates()
			if len(templates) != len(groups) {
				t.Fatalf("%d launch templates", len(templates))
			}
			for _, template := range templates {
				if template.Command[3] != d.options.Program || template.Directory != dir || template.Environment[directoryVariable] != dir {
					t.Errorf("launch template %+v", template)
				}
			}
		})
	}
}

// What cannot work is refused before anything is started.
func TestRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		file: "not a directory",
		filepath.Join(t.TempDir(), strings.Repeat("long", 20)): "too long a name for a socket: give a shorter one",
	} {
		err := Run(t.Context(), Options{Dir: dir, Out: io.Discard, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("in %s: %v, want %s", dir, err, want)
		}
	}
	for _, env := range []map[string]string{{}, {instanceVariable: "i-1"}, {directoryVariable: t.TempDir()}} {
		err := RunApp(t.Context(), func(name string) (string, bool) { value, ok := env[name]; return value, ok })
		if err == nil || !strings.Contains(err.Error(), "run by hale demo") {
			t.Errorf("the app with %v: %v", env, err)
		}
	}
}

// Each part takes the next port that is free.
func TestPorts(t *testing.T) {
	p := ports{next: 20000}
	first, err := p.listen(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	again := ports{next: p.next - 1}
	free, err := again.free(t.Context(), "127.0.0.1")
	if err != nil || free == first.Addr().String() {
		t.Errorf("%s is free, %v", free, err)
	}
}
