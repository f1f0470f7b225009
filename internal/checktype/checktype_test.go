package checktype_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"hale/checks/env"
	"hale/checks/exec"
	"hale/checks/file"
	"hale/checks/page"
	"hale/checks/sql"
	"hale/checks/websocket"
	"hale/internal/checktype"
)

func TestRows(t *testing.T) {
	var names []string
	for _, row := range checktype.Types() {
		if slices.Contains(names, row.Name) || strings.Trim(row.Name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q: twice, or not a plain word", row.Name)
		}
		names = append(names, row.Name)
		if !strings.HasSuffix(row.Summary, ".") {
			t.Errorf("%s: summary %q is no sentence", row.Name, row.Summary)
		}
		one, another := row.New(checktype.Site{}), row.New(checktype.Site{})
		if v := reflect.ValueOf(one); v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			t.Errorf("%s: %T is no pointer to a struct", row.Name, one)
			continue
		}
		if one == another {
			t.Errorf("%s: checks share their options", row.Name)
		}
		options := reflect.TypeOf(one).Elem()
		for _, f := range reflect.VisibleFields(options) {
			if f.Anonymous {
				continue // its fields are among these
			}
			if f.IsExported() && f.Tag.Get("yaml") == "" {
				t.Errorf("%s: %s has no key, nor yaml:\"-\"", row.Name, f.Name)
			}
			if key := f.Tag.Get("yaml"); key != "" && key != "-" && f.Tag.Get("jsonschema_description") == "" {
				t.Errorf("%s: %s has no description", row.Name, key)
			}
		}
	}
	for _, want := range []string{"sql", "page", "http", "tcp", "exec", "env", "file", "disk", "memory"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestSiteDefaults(t *testing.T) {
	lookup := func(name string) (string, bool) { return name, true }
	site := checktype.Site{AppURL: "http://127.0.0.1:8000", Host: "mysite.com", Dir: "/srv/site", Lookup: lookup}
	for _, row := range checktype.Types() {
		switch c := row.New(site).(type) {
		case *page.Check:
			if c.URL != site.AppURL || c.Host != site.Host {
				t.Errorf("page: %+v", c)
			}
		case *websocket.Check:
			if c.App != site.AppURL || c.AppHost != site.Host || c.Dir != site.Dir {
				t.Errorf("websocket: %+v", c)
			}
		case *file.Check:
			if c.Dir != site.Dir {
				t.Errorf("file: %+v", c)
			}
		case *exec.Check:
			if c.Dir != site.Dir {
				t.Errorf("exec: %+v", c)
			}
		case *sql.Check:
			if c.Dir != site.Dir {
				t.Errorf("sql: %s", c.Dir)
			}
		case *env.Check:
			if v, _ := c.Lookup("X"); v != "X" {
				t.Error("env does not look where it is told")
			}
		}
	}
}
