package doctor

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
)

// Fix says how to mend a finding's cause in one piece of software, or on one
// platform.
type Fix struct {
	// Where names it: "django", "nginx", "aws".
	Where string `json:"where"`
	// Text is Markdown: a sentence that says what to do, then code to paste in
	// fenced blocks, each with its language and where useful its file's name.
	Text string `json:"text"`
	// Own tells that it is for software that was recognised here.
	Own bool `json:"-"`
}

// Summary is the fix's first sentence, in one line.
func (f Fix) Summary() string {
	first, _, _ := strings.Cut(f.Text, "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

// fixFiles holds the fixes, one file each: fixes/ID/WHERE.md. Files in
// fixes/shared are parts of them, {{template "NAME" .}}. docs/fixes.md tells
// how to write one.
//
//go:embed fixes
var fixFiles embed.FS

// fixesFor returns the fixes of a failure mode in the order in which they are
// to be read. Recognised are the names of software and platforms that are
// known to have a hand in the answers; see fitting for what is told of them.
func fixesFor(id string, recognised []string, data fixData) []Fix {
	if data.Program != "" {
		recognised = append(slices.Clone(recognised), process(data.Program))
	}
	var fixes []Fix
	for _, w := range fitting(id, fixable(id), recognised) {
		name := path.Join("fixes", id, w.Name+".md")
		text, err := fixFiles.ReadFile(name)
		if err != nil {
			panic(err) // fixable has seen it
		}
		if filled := strings.TrimSpace(render(name, string(text), data)); filled != "" {
			fixes = append(fixes, Fix{w.Name, filled, isHere(id, w, recognised)})
		}
	}
	return fixes
}

// fixable returns the wheres that a failure mode has fixes for.
func fixable(id string) []Where {
	entries, err := fixFiles.ReadDir(path.Join("fixes", id))
	if err != nil {
		return nil
	}
	var found []Where
	for _, w := range wheres {
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == w.Name+".md" }) {
			found = append(found, w)
		}
	}
	return found
}

// sharedParts are the templates that fixes have in common, by their files'
// names without ".md".
var sharedParts = sync.OnceValue(func() *template.Template {
	parts := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"regex": regexp.QuoteMeta, // a value as part of a regular expression
	})
	entries, err := fixFiles.ReadDir("fixes/shared")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		text, err := fixFiles.ReadFile("fixes/shared/" + e.Name())
		if err != nil {
			panic(err)
		}
		template.Must(parts.New(strings.TrimSuffix(e.Name(), ".md")).Parse(strings.TrimSpace(string(text))))
	}
	return parts
})

// fixData is what is known of the site under examination, for the sentences
// and the texts to paste. What is not known stays empty and is shown as a
// placeholder that says what to put there.
type fixData struct {
	// Path is the health check's path, "/health"; a query is cut off.
	Path string
	// PathNoSlash is Path without the slashes around it, "health".
	PathNoSlash string
	// RightPath and RightPort are the path and the port that answer as the
	// probed ones should, where an experiment has found them.
	RightPath, RightPort string
	// Host is what the probe sent as Host, "10.0.0.10:8080".
	Host string
	// Domain is the site's public name, "example.com".
	Domain string
	// Address and Port are where the probe went: "10.0.0.10" and "8080".
	Address, Port string
	// Status and Location are the answer's: 301, "https://10.0.0.10/health".
	Status   int
	Location string
	// Method is the one that the probe asked with, "GET".
	Method string
	// Timeout is how long the prober waits, "5s".
	Timeout string
	// Program is who listens on the port or answered, "gunicorn".
	Program string
	// Backend is the address of the app behind a local proxy,
	// "127.0.0.1:8000" or "unix:/run/app.sock".
	Backend string
	// Upstream is the address that the proxy before the app has of it, where the
	// finding is of what is behind a proxy; a text that says nothing of that is no
	// fix then.
	Upstream string
	// Subnet is the network that the load balancer probes from, "10.0.0.0/16".
	Subnet string
	// TargetGroup is the ARN of the target group.
	TargetGroup string
	// Variable is a variable of the environment that the app misses.
	Variable string
}

// kinds tells of each field of fixData which values may be pasted into a file
// or a shell, and what stands for one that is missing or may not. Some come
// from a stranger's answer.
var kinds = map[string]struct {
	allowed     *regexp.Regexp
	placeholder string
}{
	"Path":        {pathPattern, "</your/health/path>"},
	"PathNoSlash": {pathPattern, "<your/health/path>"},
	"RightPath":   {pathPattern, "</path/that/answers/200>"},
	"Port":        {portPattern, "<port of the health check>"},
	"RightPort":   {portPattern, "<port of the app>"},
	"Host":        {hostPattern, "<private IP>:<port>"},
	"Domain":      {hostPattern, "<your domain>"},
	"Address":     {hostPattern, "<private IP>"},
	"Backend":     {regexp.MustCompile(`^[\w.:/@\[\]+-]+$`), "<address of the app>"},
	"Upstream":    {regexp.MustCompile(`^[\w.:\[\]]+$`), ""},
	"Subnet":      {regexp.MustCompile(`^[0-9a-fA-F.:]+/\d{1,3}$`), "<load balancer's subnet, such as 10.0.0.0/16>"},
	"Status":      {regexp.MustCompile(`^\d{3}$`), "another status"},
	"Location":    {regexp.MustCompile(`^[\w.:/@%~?&=+,;\[\]#!-]+$`), "another address"},
	"Method":      {regexp.MustCompile(`^[A-Z]+$`), "the prober's own"},
	"Timeout":     {regexp.MustCompile(`^[\w.]+$`), "<time-out>"},
	"Program":     {regexp.MustCompile(`^[\w.@:/+-][\w.@:/+ -]*$`), "the program"},
	"TargetGroup": {regexp.MustCompile(`^arn:[\w:/-]+$`), "$ARN"},
	"Variable":    {regexp.MustCompile(`^[A-Za-z_]\w*$`), "SECRET_KEY"},
}

var (
	pathPattern = regexp.MustCompile(`^[\w./~%:@=+,-]+$`)
	portPattern = regexp.MustCompile(`^\d{1,5}$`)
	hostPattern = regexp.MustCompile(`^[\w.:\[\]%-]+$`)
)

// filled returns the values by the names of their fields, with a placeholder
// for each that is missing or may not be pasted. Two are made of others:
// BackendURL is the backend as hale.yaml names it, SlashPath the path with a
// slash at its end, or without if it has one.
func (d fixData) filled() map[string]string {
	d.Path, _, _ = strings.Cut(d.Path, "?")
	d.RightPath, _, _ = strings.Cut(d.RightPath, "?")
	filled := map[string]string{}
	fields := reflect.ValueOf(d)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		value := fmt.Sprint(fields.Field(i))
		if kind := kinds[name]; !kind.allowed.MatchString(value) {
			value = kind.placeholder
		}
		filled[name] = value
	}
	if d.Path == "/" {
		filled["PathNoSlash"] = ""
	}
	filled["SlashPath"] = filled["Path"] + "/"
	if cut := strings.TrimRight(d.Path, "/"); cut != d.Path && cut != "" {
		filled["SlashPath"] = strings.TrimRight(filled["Path"], "/")
	}
	filled["BackendURL"] = "http://" + filled["Backend"]
	if socket, ok := strings.CutPrefix(filled["Backend"], "unix:"); ok {
		filled["BackendURL"] = "unix://" + socket
	}
	return filled
}

// render fills in one of our own texts, which the tests have held to be a
// template of fixData.
func render(name, text string, data fixData) string {
	out, err := execute(name, text, data)
	if err != nil {
		panic(err)
	}
	return out
}

func execute(name, text string, data fixData) (string, error) {
	parts, err := sharedParts().Clone()
	if err != nil {
		return "", fmt.Errorf("text %s: %w", name, err)
	}
	t, err := parts.New(name).Parse(text)
	if err != nil {
		return "", fmt.Errorf("text %s: %w", name, err)
	}
	var out strings.Builder
	if err := t.Execute(&out, data.filled()); err != nil {
		return "", fmt.Errorf("text %s: %w", name, err)
	}
	return out.String(), nil
}
