package config_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hale/internal/config"
	"hale/internal/config/reference"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

const root = "../.."

// TestGenerated fails when a struct or a comment was changed without
// "go generate ./internal/config".
func TestGenerated(t *testing.T) {
	ref, err := reference.New(".")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := ref.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if string(schema) != config.Schema() {
		t.Error("schema.json is stale: run go generate ./internal/config")
	}
	document, err := os.ReadFile(root + "/docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	filled, err := ref.Fill(document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(filled, document) {
		t.Error("docs/configuration.md is stale: run go generate ./internal/config")
	}
}

func TestEveryKeyHasAMeaning(t *testing.T) {
	ref, err := reference.New(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range ref.Tables() {
		for _, row := range table.Rows {
			if row.Meaning == "" || !strings.HasSuffix(row.Meaning, ".") {
				t.Errorf("%s.%s: meaning %q", table.Section, row.Key, row.Meaning)
			}
		}
	}
}

// TestFullExampleIsFull looks for every key in testdata/full.yaml.
func TestFullExampleIsFull(t *testing.T) {
	ref, err := reference.New(".")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var full map[string]any
	if err := yaml.Unmarshal(data, &full); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for key, value := range full {
		used["."+key] = true
		section, ok := value.(map[string]any)
		for k := range section {
			used[key+"."+k] = ok
		}
	}
	var look func(checks []any)
	look = func(checks []any) {
		for _, c := range checks {
			check := c.(map[string]any)
			for key, value := range check {
				used["health.checks[]."+key] = true
				if kind, ok := check["type"].(string); ok {
					used["health.checks[] type "+kind+"."+key] = true
				}
				if members, ok := value.([]any); ok && (key == "any" || key == "all") {
					look(members)
				}
			}
		}
	}
	look(full["health"].(map[string]any)["checks"].([]any))
	for _, table := range ref.Tables() {
		for _, row := range table.Rows {
			if !used[table.Section+"."+row.Key] {
				t.Errorf("%s.%s is not in it", table.Section, row.Key)
			}
		}
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("hale.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("hale.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON reads YAML in the way of an editor.
func asJSON(t *testing.T, data []byte) (any, bool) {
	t.Helper()
	var value any
	if yaml.Unmarshal(data, &value) != nil {
		return nil, false
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, false
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	return document, err == nil
}

// examples are all hale.yaml files and all snippets of them in the documents.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (strings.HasPrefix(e.Name(), ".") && e.Name() != ".." || e.Name() == "broken" || e.Name() == "fuzz"):
			return fs.SkipDir
		case e.Name() != "hale.yaml" && path != root+"/internal/config/testdata/full.yaml" && filepath.Ext(path) != ".md", e.Name() == "balance.md":
			return nil // that one's are the balancer's
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) != ".md" {
			if !bytes.Contains(data, []byte("{{")) { // no template of one
				found[path] = data
			}
			return nil
		}
		for i, snippet := range yamlSnippet.FindAllSubmatch(data, -1) {
			found[path+"#"+string(rune('1'+i))] = snippet[1]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// yamlSnippet is a block of YAML in a document that begins with a key of
// hale.yaml or a comment.
var yamlSnippet = regexp.MustCompile("(?s)```yaml\n((?:#[^\n]*\n)*(?:listen|admin|app|hosts|https|health|drain):.*?)```")

func TestExamples(t *testing.T) {
	schema := compiled(t)
	all := examples(t)
	if len(all) < 3 {
		t.Fatalf("only %d examples found", len(all))
	}
	for name, data := range all {
		t.Run(strings.TrimPrefix(name, root+"/"), func(t *testing.T) {
			anything := func(name string) (string, bool) {
				switch {
				case strings.HasSuffix(name, "_URL"):
					return "postgres://db.internal/site", true
				case strings.HasSuffix(name, "_PASSWORD"), strings.HasSuffix(name, "_TOKEN"):
					return "none", true
				}
				return "/run/" + strings.ToLower(name), true
			}
			if _, err := config.Parse(name, data, config.Options{Env: anything}); err != nil {
				t.Error(err)
			}
			document, ok := asJSON(t, data)
			if !ok {
				t.Fatal("is no JSON")
			}
			if err := schema.Validate(document); err != nil {
				t.Errorf("schema: %v", err)
			}
		})
	}
}

// TestSchemaAcceptsWhatIsAccepted holds the schema to the decoder.
func TestSchemaAcceptsWhatIsAccepted(t *testing.T) {
	schema := compiled(t)
	for _, text := range []string{
		"listen: \"${ADDRESS}\"\nadmin: off\n",
		"app:\nhosts:\nhealth:\n  checks:\n",
		"drain: {notice: 0, finish: 1h30m}\n",
		"https: {redirect: \"${REDIRECT:-off}\", hsts: off, trusted_proxies: [\"::1\", 10.0.0.1]}\n",
		"https: {redirect: 308}\n",
		"limits: {header_size: 65536, body_size: off}\n",
		"app: {command: [sleep, 10], before: [[a, 1], {command: [b], user: \"${U}\"}]}\n",
		"health: {fail_status: 500, details: abcdefghijklmnop, path: /status/}\n",
		"health: {checks: [{name: 1, type: disk, max_used: 95, min_free: 1.5 GiB}]}\n",
		"health: {checks: [{name: a, type: page, status: 200, interval: \"${I}\", rise: \"${R}\"}]}\n",
		"health: {checks: [{name: a, type: exec, command: [x, -w, 4], env: {A: 1, B: \"${C}\"}}]}\n",
		"health: {templates: , checks: [{name: a, type: memory, profile: deep, depends_on: b}, {name: b, type: memory, profile: [ready, deep]}]}\n",
		"health: {templates: {t: {type: sql}, u: {url: x, max_used: 90%, status: 200}}, checks: [{name: a, template: t, url: \"${U}\"}, {name: b, template: [t, u]}]}\n",
		"health: {templates: {t: {type: disk}}, checks: [{name: a, template: t, max_used: 50%}]}\n",
		"health: {checks: [{name: g, scope: shared, rise: 2, any: [{name: a, type: memory}, {name: h, fall: 3, all: [{name: b, type: disk, interval: 5s}]}]}]}\n",
	} {
		document, ok := asJSON(t, []byte(text))
		if !ok {
			t.Fatalf("%s: is no JSON", text)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSchemaRefuses counts on the schema for what an editor can know: the
// broken files that are wrong in their keys, words, kinds and forms.
func TestSchemaRefuses(t *testing.T) {
	schema := compiled(t)
	// What takes knowledge of other values, of the environment, or of what is
	// behind a text, is left to hale config check.
	beyond := []string{
		"^syntax-", "duplicate", "^env-", "^merge-", "^listen-is-", "^listen-bad-", "^listen-url$", "^access-log-empty$", "^app-url-", "^app-user-empty$", "^app-command-(empty|word)",
		"^app-require-env$", "^app-timeout-zero$", "^hosts-(url|wildcard|bad|none)", "^https-redirect-trusts", "^https-proxies-", "^https-hsts-short$", "^headers-referrer",
		"^limits-(header-too|idle)", "^instance-refresh$", "^health-path-", "^health-(details-typo)$", "^check-(duplicate|name|interval-(zero|long)|timeout-zero|bad-(percent|regexp|address)|percents)",
		"^depends-(circle|member|secret|self|template|twice|unknown|word)", "^group-(in-itself|too-deep)$", "^profile-(env|misspelt)$",
		"^template-(for-a-|missing-|none$|not-for-|unknown$|unknown-far$|twice$|validate)",
		"^page-(no-app|app-wrong|status|path|host)", "^http-(url|follow-)", "^sql-(scheme|password|url)", "^just-a-word$", "^tag$", "^key-is-a-list$",
		"^(empty|only-comments|not-utf8|control-character|utf16|null)$",
	}
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if slices.ContainsFunc(beyond, func(p string) bool { return regexp.MustCompile(p).MatchString(name) }) {
			continue
		}
		data, _ := brokenFile(t, file)
		document, ok := asJSON(t, data)
		if !ok {
			t.Errorf("%s is no JSON", name)
			continue
		}
		if schema.Validate(document) == nil {
			t.Errorf("%s is accepted", name)
		}
		refused++
	}
	if refused < 60 {
		t.Errorf("only %d files looked at", refused)
	}
}
