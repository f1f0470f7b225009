package config

import (
	"reflect"

	"go.yaml.in/yaml/v4"

	"hale/internal/yamlfile"
)

// decoder turns the nodes of one hale.yaml into a Config.
type decoder struct {
	*yamlfile.Decoder
	options Options
	config  *Config
	env     *environment

	keys      map[string][]string // of the options of each type of check that was asked for
	templates map[string]template // of checks, by name
	origins   map[*yamlfile.Pair]*origin
	groups    []*yaml.Node // the groups whose members are being decoded
}

// nodeDecoder is a type that reads its node itself.
type nodeDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, path string)
}

func newDecoder(name string, o Options) *decoder {
	d := &decoder{options: o, config: Default(), origins: map[*yamlfile.Pair]*origin{}}
	d.config.File = name
	d.Decoder = yamlfile.New(yamlfile.About{
		File: name, Title: "hale.yaml", Begin: "app", Empty: "app: {url: http://127.0.0.1:8000}",
		Root:       reflect.TypeFor[Config](),
		Lookup:     d.lookup,
		WhyMissing: func(err error) string { return d.env.whyMissing(err) },
		Custom: func(v reflect.Value, n *yaml.Node, path string) bool {
			custom, ok := reflect.TypeAssert[nodeDecoder](v.Addr())
			if ok {
				custom.decodeNode(d, n, path)
			}
			return ok
		},
		NotYet: map[string]string{
			"health.shared_failure=quorum": "needs fleet, which this version does not have; write fail or warn",
		},
	})
	return d
}

// lookup finds a variable. The file of variables is named without its own.
func (d *decoder) lookup(path, name string) (string, bool) {
	if path == envFileKey {
		return d.env.lookupProcess(name)
	}
	return d.env.lookup(name)
}

// root decodes the whole file.
func (d *decoder) root(n *yaml.Node) {
	m := d.Mapping(n, "")
	if m == nil {
		return
	}
	d.env = newEnvironment(d.options, d.envFileOf(n))
	d.Top(m, reflect.ValueOf(d.config).Elem())
	d.agree()
}

// origin is where a key of a check comes from that is not its own.
type origin struct {
	template string       // whose it is, if it is a template's
	use      use          // where the template is named
	more     []*yaml.Node // mappings of templates, to be put together with the value
}

// of returns where p comes from: the check itself, if from no template.
func (d *decoder) of(p *yamlfile.Pair) *origin {
	o := d.origins[p]
	if o == nil {
		o = new(origin)
		d.origins[p] = o
	}
	return o
}
