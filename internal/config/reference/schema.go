// Package reference makes what is told about configuration files elsewhere from
// the structs that they are read into: the JSON schemas for editors and the tables
// of keys in the documents. It knows hale.yaml, of package config and of the
// checks (New), and the file of the balancer (NewBalance). Only go generate and
// tests use it.
package reference

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"hale/checks"
	"hale/internal/balancer/configuration"
	"hale/internal/config"

	"github.com/invopop/jsonschema"
)

// Reference is all keys of hale.yaml.
type Reference struct {
	schema *jsonschema.Schema
	tables []Table
	some   bool // not every table has to have its place in a document
}

// Table is the keys of one section.
type Table struct {
	Section string // "app", "health.checks[]", or "health.checks[] type sql"; empty for the top
	Rows    []Row
}

// Row is one key.
type Row struct {
	Key, Type, Default, Meaning string
	Required                    bool
}

// New reads the structs, and their comments from the directory of package
// config, which must be below the working directory.
func New(configDir string) (*Reference, error) {
	r, err := reflector("hale/internal/config", configDir)
	if err != nil {
		return nil, err
	}
	ref := &Reference{schema: r.Reflect(config.Config{})}
	s := ref.schema
	ref.object(reflect.TypeFor[config.Config](), s, "")

	definitions, err := ref.checks(r)
	if err != nil {
		return nil, err
	}
	ref.head("hale.yaml", "Configuration of hale serve and hale check.", definitions)
	return ref, nil
}

// NewBalance is New for the file of hale balance; dir is that of package
// configuration.
func NewBalance(dir string) (*Reference, error) {
	r, err := reflector("hale/internal/balancer/configuration", dir)
	if err != nil {
		return nil, err
	}
	ref := &Reference{schema: r.Reflect(configuration.File{}), some: true}
	ref.object(reflect.TypeFor[configuration.File](), ref.schema, "")
	ref.head("hale balance", "Configuration of hale balance.", definitions{})
	return ref, nil
}

// reflector reads structs, and their comments from the directory of their package.
func reflector(pkg, dir string) (*jsonschema.Reflector, error) {
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		DoNotReference:             true,
		Anonymous:                  true,
		Mapper:                     mapped,
	}
	if err := r.AddGoComments(pkg, dir); err != nil {
		return nil, fmt.Errorf("read comments of the configuration: %w", err)
	}
	return r, nil
}

// head finishes a schema.
func (ref *Reference) head(title, description string, definitions definitions) {
	// Editors know draft 7 best (the YAML language server follows no later one),
	// and nothing here needs more.
	s := ref.schema
	s.Version = "http://json-schema.org/draft-07/schema#"
	s.Title = title
	s.Description = description
	definitions["variable"] = &jsonschema.Schema{
		Type:        "string",
		Pattern:     `\$\{`,
		Description: "${NAME} is the environment's; ${NAME:-default} and ${NAME:?message} as in a shell.",
	}
	s.Extras = map[string]any{"definitions": definitions}
}

// Schema returns the JSON schema, indented.
func (ref *Reference) Schema() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(ref.schema); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// mapped maps the types that are written as one text, and those with a
// definition of their own.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch t { // see checks
	case reflect.TypeFor[[]config.Check]():
		return &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Ref: "#/definitions/check"}}
	case reflect.TypeFor[config.Templates]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{Ref: "#/definitions/template"}}
	}
	return scalar(t)
}

// scalar maps the types that are written as one text.
func scalar(t reflect.Type) *jsonschema.Schema {
	if t == reflect.TypeFor[time.Duration]() || t == reflect.TypeFor[netip.Prefix]() ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}

// object finishes the schema of struct t, and makes its table.
func (ref *Reference) object(t reflect.Type, s *jsonschema.Schema, path string) {
	i := len(ref.tables)
	ref.tables = append(ref.tables, Table{Section: path})
	var rows []Row
	for _, f := range reflect.VisibleFields(t) {
		key, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		p, ok := s.Properties.Get(key)
		if !ok || !f.IsExported() {
			continue
		}
		off := flags == "off"
		rows = append(rows, Row{
			Key: key, Type: typeName(f.Type, p, off), Default: defaultOf(f, p),
			Meaning: p.Description, Required: slices.Contains(s.Required, key),
		})
		ref.value(f.Type, p, off, strings.TrimPrefix(path+"."+key, "."))
	}
	ref.tables[i].Rows = rows
	s.Type, s.Extras = "", map[string]any{"type": []string{"object", "null"}}
	if path == "" || strings.HasSuffix(path, "[]") {
		s.Type, s.Extras = "object", nil
	}
}

// value finishes the schema of a key's value of type t.
func (ref *Reference) value(t reflect.Type, s *jsonschema.Schema, off bool, path string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[config.Steps]():
		s.Items = steps(s.Items)
	case t == reflect.TypeFor[[]config.Check](), t == reflect.TypeFor[config.Templates]():
		// What is in them has its own definition.
	case oneOrMore(t):
		ref.value(t.Elem(), s.Items, false, path+"[]")
		*s = jsonschema.Schema{Description: s.Description, AnyOf: []*jsonschema.Schema{s.Items, {Type: "array", Items: s.Items}}}
		return
	case scalar(t) != nil, t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Map:
		ref.text(t, s, off)
		return
	case t.Kind() == reflect.Struct:
		ref.object(t, s, path)
		return
	case t.Kind() == reflect.Slice:
		ref.value(t.Elem(), s.Items, false, path+"[]")
	case t.Kind() == reflect.Map:
		ref.value(t.Elem(), s.AdditionalProperties, false, path+".*")
	}
	s.Extras = map[string]any{"type": []string{s.Type, "null"}}
	s.Type = ""
}

// oneOrMore reports whether t is a list that may be written as one word.
func oneOrMore(t reflect.Type) bool { return strings.HasPrefix(t.Name(), "OneOrMore[") }

// steps is app.before: lists of words, or mappings.
func steps(mapping *jsonschema.Schema) *jsonschema.Schema {
	word := &jsonschema.Schema{Extras: textTypes()}
	list := &jsonschema.Schema{Type: "array", Items: word, Extras: map[string]any{"minItems": 1}}
	for p := mapping.Properties.Oldest(); p != nil; p = p.Next() {
		if p.Value.Items != nil {
			p.Value.Items = word
		} else {
			p.Value.Type, p.Value.Extras = "", textTypes()
		}
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{list, mapping}}
}

// textTypes are the JSON types of what is read as a text: it need not be quoted
// to be one.
func textTypes() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

// text finishes the schema of a value that is one text: it may always be made
// of variables instead.
func (ref *Reference) text(t reflect.Type, s *jsonschema.Schema, off bool) {
	if f, ok := formsOf[t]; ok {
		written := &jsonschema.Schema{Pattern: f.pattern, Extras: map[string]any{"type": f.types}}
		if slices.Contains(f.types, "number") || slices.Contains(f.types, "integer") {
			written.Minimum = "0"
		}
		if t == reflect.TypeFor[time.Duration]() || t == reflect.TypeFor[checks.Span]() {
			written.Maximum = "0" // the one duration that needs no unit
		}
		if t == reflect.TypeFor[config.Profile]() {
			written.Not = &jsonschema.Schema{Enum: []any{"live", "checks", "metrics"}}
		}
		ref.oneOf(s, written, off)
		return
	}
	if t.Kind() == reflect.String && len(s.Enum) == 0 && scalar(t) == nil {
		s.Type, s.Extras = "", textTypes()
		return
	}
	plain := *s
	plain.Description, plain.Default = "", nil
	ref.oneOf(s, &plain, off)
}

// oneOf makes s accept the form, a text with a variable, and off.
func (ref *Reference) oneOf(s, form *jsonschema.Schema, off bool) {
	forms := []*jsonschema.Schema{form, {Ref: "#/definitions/variable"}}
	if off {
		forms = append(forms, &jsonschema.Schema{Const: "off"})
	}
	*s = jsonschema.Schema{Description: s.Description, Default: s.Default, AnyOf: forms}
}

// form is how the texts of a type look.
type form struct {
	name    string   // for the tables
	types   []string // of JSON: what YAML makes of them when they are not quoted
	pattern string
}

const number = `([0-9]+\.?[0-9]*|\.[0-9]+)`

var formsOf = map[reflect.Type]form{
	reflect.TypeFor[time.Duration]():                 {"duration", []string{"string", "integer"}, `^(0|\+?(` + number + `(ns|us|µs|μs|ms|s|m|h))+)$`},
	reflect.TypeFor[netip.Prefix]():                  {"network", []string{"string"}, `^[0-9A-Fa-f:.]+(/[0-9]+)?$`},
	reflect.TypeFor[checks.Span]():                   {"days, or duration", []string{"string", "integer"}, `^ *(0|(` + number + `d)?(` + number + `(ns|us|µs|μs|ms|s|m|h))*) *$`},
	reflect.TypeFor[checks.Size]():                   {"size", []string{"string", "number"}, `^ *` + number + ` *([kKmMgGtTpP]?[iI]?[bB])? *$`},
	reflect.TypeFor[checks.Percent]():                {"percentage", []string{"string", "number"}, `^ *` + number + ` *%? *$`},
	reflect.TypeFor[checks.StatusSet]():              {"status codes", []string{"string", "integer"}, `^[0-9, -]+$`},
	reflect.TypeFor[checks.Pattern]():                {"regular expression", []string{"string", "number", "boolean"}, ""},
	reflect.TypeFor[config.Address]():                {"address", []string{"string"}, `:[0-9]+$`},
	reflect.TypeFor[config.LogTarget]():              {"file name, stdout or stderr", []string{"string", "number"}, ""},
	reflect.TypeFor[config.AppURL]():                 {"URL", []string{"string"}, `^(?:[hH][tT][tT][pP]|[uU][nN][iI][xX]|[uU][wW][sS][gG][iI](\+[uU][nN][iI][xX])?)://`},
	reflect.TypeFor[config.HostPattern]():            {"host", []string{"string", "number"}, ""},
	reflect.TypeFor[config.InstanceAddress]():        {"auto or file:PATH", []string{"string"}, `^(auto|file:.+)$`},
	reflect.TypeFor[config.HealthPath]():             {"path", []string{"string"}, `^/.*[^/]`},
	reflect.TypeFor[config.ReferrerPolicy]():         {"policy", []string{"string"}, `^[a-z, -]+$`},
	reflect.TypeFor[config.Profile]():                {"ready, startup or a word", []string{"string"}, `^[a-z][a-z0-9_-]{0,39}$`},
	reflect.TypeFor[configuration.Account]():         {"12 digits", []string{"string", "integer"}, `^[0-9]{12}$`},
	reflect.TypeFor[configuration.StateDirectory]():  {"directory, or `off`", []string{"string", "number"}, ""},
	reflect.TypeFor[configuration.Secret]():          {"text", []string{"string", "number"}, ""},
	reflect.TypeFor[configuration.CertificateName](): {"name", []string{"string", "number"}, `^[A-Za-z0-9._-]{1,100}$`},
	reflect.TypeFor[configuration.Ports]():           {"port, or range of ports", []string{"string", "integer"}, `^[0-9]{1,5}(-[0-9]{1,5})?$`},
	reflect.TypeFor[configuration.TemplateVersion](): {"number, `$Latest` or `$Default`", []string{"string", "integer"}, `^([1-9][0-9]*|\$Latest|\$Default)$`},
	reflect.TypeFor[configuration.Addresses]():       {"address or network", []string{"string"}, `^[0-9A-Fa-f:.]+(/[0-9]+)?$`},
	reflect.TypeFor[configuration.CheckPort]():       {"`traffic-port`, or a number", []string{"string", "integer"}, `^(traffic-port|[0-9]{1,5})$`},
	reflect.TypeFor[config.Details]():                {"never, loopback, private, always or a token", []string{"string", "number"}, `^(never|loopback|private|always|[A-Za-z0-9._~+/-]{15,}[A-Za-z0-9._~+/=-]+)$`},
}
