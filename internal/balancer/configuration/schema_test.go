package configuration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"hale/internal/balancer/configuration"
	"hale/internal/config/reference"
)

// TestSchemaIsUpToDate fails where go generate has not been run.
func TestSchemaIsUpToDate(t *testing.T) {
	ref, err := reference.NewBalance(".")
	if err != nil {
		t.Fatal(err)
	}
	want, err := ref.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if configuration.Schema() != string(want) {
		t.Error("schema.json is out of date; run go generate ./internal/balancer/configuration")
	}
	document, err := os.ReadFile("../../../docs/balance.md")
	if err != nil {
		t.Fatal(err)
	}
	filled, err := ref.Fill(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(filled) != string(document) {
		t.Error("docs/balance.md is out of date; run go generate ./internal/balancer/configuration")
	}
}

// TestSchema holds that the schema takes the full example, and refuses keys that
// are misspelt and values of another kind.
func TestSchema(t *testing.T) {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(configuration.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("balance.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("balance.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(file string) error {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := yaml.Unmarshal(data, &value); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(document)
	}
	if err := validate("testdata/full.yaml"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"unknown-key", "lower-case", "group-protocol", "group-port-range", "listener-arn", "balancer-scheme", "rule-no-priority", "credentials-missing"} {
		if validate(filepath.Join("testdata", "broken", name+".yaml")) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestTheDocumentsExamples reads each example of docs/balance.md.
func TestTheDocumentsExamples(t *testing.T) {
	document, err := os.ReadFile("../../../docs/balance.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(document), -1)
	if len(examples) < 3 {
		t.Errorf("only %d", len(examples))
	}
	for _, example := range examples {
		f, err := configuration.Parse("balance.yaml", []byte(example[1]), configuration.Options{Env: func(string) (string, bool) { return "x", true }})
		if err != nil {
			t.Errorf("%v\n%s", err, example[1])
			continue
		}
		apply(t, f, nothing())
	}
}
