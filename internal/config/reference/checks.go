package reference

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"

	"hale/internal/checktype"
	"hale/internal/config"
)

// definitions are parts of the schema that refer to one another by their names.
type definitions = map[string]*jsonschema.Schema

// What of a check's keys is not for all: see config.
var (
	keysOfGroups  = []string{"name", "template", "rise", "fall", "impact", "scope", "depends_on", "profile", "any", "all"}
	keysOfGroup   = []string{"impact", "scope", "depends_on", "profile"} // and not of its members
	notOfTemplate = []string{"name", "template", "any", "all"}
)

// checks makes the definitions of a check, of a member of a group, and of a
// template: what all checks have, and one alternative for each type.
func (ref *Reference) checks(r *jsonschema.Reflector) (definitions, error) {
	const path = "health.checks[]"
	check := r.ReflectFromType(reflect.TypeFor[config.Check]())
	check.Version = ""
	ref.object(reflect.TypeFor[config.Check](), check, path)
	table := &ref.tables[len(ref.tables)-1]
	table.require("type")
	common := slices.Clone(table.Rows)
	check.AdditionalProperties = nil // said by each alternative
	members := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Ref: "#/definitions/member"}, Extras: map[string]any{"minItems": 1}}
	for _, key := range []string{"any", "all"} {
		p, ok := check.Properties.Get(key)
		if !ok {
			return nil, fmt.Errorf("no %s among the keys of %s", key, path)
		}
		list := *members
		list.Description = p.Description
		check.Properties.Set(key, &list)
	}
	template := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
	options := map[string][]*jsonschema.Schema{} // of all types, by key
	var keys []any
	for _, row := range common {
		keys = append(keys, row.Key)
	}

	var names []any
	for _, t := range checktype.Types() {
		names = append(names, t.Name)
		of := reflect.TypeOf(t.New(checktype.Site{})).Elem()
		then := r.ReflectFromType(of)
		ref.object(of, then, path+" type "+t.Name)
		own := jsonschema.NewProperties()
		for p := then.Properties.Oldest(); p != nil; p = p.Next() {
			own.Set(p.Key, p.Value)
			options[p.Key] = addDistinct(options[p.Key], p.Value)
			keys = append(keys, p.Key)
		}
		for _, row := range common {
			if _, taken := own.Get(row.Key); taken {
				return nil, fmt.Errorf("checks of type %s have an option %s, which every check has", t.Name, row.Key)
			}
			if row.Key != "any" && row.Key != "all" {
				own.Set(row.Key, jsonschema.TrueSchema)
			}
		}
		of1 := &jsonschema.Schema{Properties: own, AdditionalProperties: jsonschema.FalseSchema}
		template.AllOf = append(template.AllOf, ifType(t.Name, of1))
		if len(then.Required) > 0 {
			complete := *of1
			complete.AnyOf = []*jsonschema.Schema{{Required: then.Required}, {Required: []string{"template"}}}
			of1 = &complete
		}
		check.AllOf = append(check.AllOf, ifType(t.Name, of1))
	}
	kind, ok := check.Properties.Get("type")
	if !ok {
		return nil, fmt.Errorf("no type among the keys of %s", path)
	}
	kind.Extras, kind.AnyOf = nil, []*jsonschema.Schema{{Enum: names}, {Ref: "#/definitions/variable"}}

	for p := check.Properties.Oldest(); p != nil; p = p.Next() {
		if !slices.Contains(notOfTemplate, p.Key) {
			template.Properties.Set(p.Key, p.Value)
		}
	}
	for _, key := range keys[len(common):] {
		key := fmt.Sprint(key)
		if forms := options[key]; len(forms) == 1 {
			template.Properties.Set(key, forms[0])
		} else {
			template.Properties.Set(key, &jsonschema.Schema{AnyOf: forms})
		}
	}
	check.Required = []string{"name"}
	check.AllOf = append(check.AllOf, whatItIs(), group(), ofTemplatesAlone(keys))
	return definitions{"check": check, "member": member(), "template": template}, nil
}

// require marks a key as one that must be there.
func (t *Table) require(key string) {
	for i := range t.Rows {
		if t.Rows[i].Key == key {
			t.Rows[i].Required = true
		}
	}
}

// addDistinct adds a schema that is not among them.
func addDistinct(all []*jsonschema.Schema, s *jsonschema.Schema) []*jsonschema.Schema {
	text := func(s *jsonschema.Schema) string {
		bare := *s
		bare.Description, bare.Default = "", nil
		b, _ := json.Marshal(&bare) // our own schemas can be
		return string(b)
	}
	if slices.ContainsFunc(all, func(other *jsonschema.Schema) bool { return text(other) == text(s) }) {
		return all
	}
	return append(all, s)
}

// ifType says what holds for checks of one type.
func ifType(name string, then *jsonschema.Schema) *jsonschema.Schema {
	is := jsonschema.NewProperties()
	is.Set("type", &jsonschema.Schema{Const: name})
	return &jsonschema.Schema{If: &jsonschema.Schema{Properties: is, Required: []string{"type"}}, Then: then}
}

// whatItIs says that a check has a type, be it from a template, or members.
func whatItIs() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: required("type", "template", "any", "all")}
}

// group says what groups have.
func group() *jsonschema.Schema {
	may := jsonschema.NewProperties()
	for _, key := range keysOfGroups {
		may.Set(key, jsonschema.TrueSchema)
	}
	return &jsonschema.Schema{
		If: &jsonschema.Schema{AnyOf: required("any", "all")},
		Then: &jsonschema.Schema{
			Properties: may, AdditionalProperties: jsonschema.FalseSchema,
			Not: &jsonschema.Schema{Required: []string{"any", "all"}},
		},
	}
}

// ofTemplatesAlone says which keys a check has whose type is a template's.
func ofTemplatesAlone(keys []any) *jsonschema.Schema {
	var distinct []any
	for _, key := range keys {
		if !slices.Contains(distinct, key) {
			distinct = append(distinct, key)
		}
	}
	return &jsonschema.Schema{
		If:   &jsonschema.Schema{Not: &jsonschema.Schema{AnyOf: required("type", "any", "all")}},
		Then: &jsonschema.Schema{PropertyNames: &jsonschema.Schema{Enum: distinct}},
	}
}

// member says what a member of a group is: a check, save for what only its group
// can say.
func member() *jsonschema.Schema {
	none := jsonschema.NewProperties()
	for _, key := range keysOfGroup {
		none.Set(key, jsonschema.FalseSchema)
	}
	return &jsonschema.Schema{AllOf: []*jsonschema.Schema{{Ref: "#/definitions/check"}, {Properties: none}}}
}

func required(keys ...string) []*jsonschema.Schema {
	var all []*jsonschema.Schema
	for _, key := range keys {
		all = append(all, &jsonschema.Schema{Required: []string{key}})
	}
	return all
}
