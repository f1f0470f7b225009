package migrations

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// changelog is what a file of Liquibase holds, whatever its form.
type changelog struct {
	logicalPath string // logicalFilePath; empty: the file's own
	entries     []changelogEntry
}

// changelogEntry is a changeSet, an include, an includeAll or a property with
// its attributes.
type changelogEntry struct {
	kind       string
	attributes map[string]string
}

// get returns the first of some attributes that is there.
func (e changelogEntry) get(keys ...string) string {
	for _, key := range keys {
		if value := e.attributes[key]; value != "" {
			return value
		}
	}
	return ""
}

var errNoChangelog = errors.New("is no databaseChangeLog")

// xmlDeclaration may name version 1.1, which encoding/xml refuses, though it
// differs in control characters alone.
var xmlDeclaration = regexp.MustCompile(`^\s*<\?xml[^>]*\?>`)

// parseXMLChangelog reads the elements below databaseChangeLog and their
// attributes.
func parseXMLChangelog(content []byte) (changelog, error) {
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	content = bytes.ToValidUTF8(xmlDeclaration.ReplaceAll(content, nil), []byte("\uFFFD"))
	d := xml.NewDecoder(bytes.NewReader(content))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var log changelog
	for depth := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return log, nil
		}
		if err != nil {
			return changelog{}, fmt.Errorf("is no XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			e := changelogEntry{t.Name.Local, make(map[string]string)}
			for _, a := range t.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			switch depth {
			case 0:
				if e.kind != "databaseChangeLog" {
					return changelog{}, errNoChangelog
				}
				log.logicalPath = e.get("logicalFilePath")
			case 1:
				log.entries = append(log.entries, e)
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// parseYAMLChangelog reads YAML, of which JSON is a part.
func parseYAMLChangelog(content []byte) (changelog, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return changelog{}, fmt.Errorf("is no YAML: %w", err)
	}
	list := valueOf(&document, "databaseChangeLog")
	if list == nil || list.Kind != yaml.SequenceNode {
		return changelog{}, errNoChangelog
	}
	var log changelog
	for _, item := range list.Content {
		if item = resolved(item); item == nil || item.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(item.Content); i += 2 {
			kind, value := item.Content[i].Value, resolved(item.Content[i+1])
			switch {
			case value == nil:
			case kind == "logicalFilePath" && value.Kind == yaml.ScalarNode:
				log.logicalPath = value.Value
			case value.Kind == yaml.MappingNode:
				log.entries = append(log.entries, changelogEntry{kind, scalars(value)})
			}
		}
	}
	return log, nil
}

// valueOf returns the value of a key of a document's or mapping's.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolved(n.Content[i+1])
		}
	}
	return nil
}

// resolved returns what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// scalars returns the values of a mapping that are neither lists nor mappings,
// as they are written.
func scalars(n *yaml.Node) map[string]string {
	all := make(map[string]string)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if value := resolved(n.Content[i+1]); value != nil && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
			all[n.Content[i].Value] = value.Value
		}
	}
	return all
}

// The comments of formatted SQL
// (https://docs.liquibase.com/concepts/changelogs/sql-format.html).
var (
	sqlHeader    = regexp.MustCompile(`(?i)^\s*--\s*liquibase\s+formatted\s+sql(.*)`)
	sqlChangeset = regexp.MustCompile(`(?i)^\s*--\s*changeset\s+("[^"]+"|[^:"]+):\s*("[^"]+"|\S+)(.*)`)
	sqlIgnored   = regexp.MustCompile(`(?i)^\s*--\s*ignore:true\s*$`)
	sqlAttribute = regexp.MustCompile(`([A-Za-z]+):("[^"]*"|\S+)`)
)

// parseSQLChangelog reads formatted SQL. A file without its header is one
// changeset, by the name that Liquibase gives it.
func parseSQLChangelog(text string) changelog {
	text = strings.TrimPrefix(text, "\uFEFF")
	var log changelog
	formatted := false
	for line := range strings.Lines(text) {
		if !formatted && strings.TrimSpace(line) == "" {
			continue
		}
		if !formatted {
			header := sqlHeader.FindStringSubmatch(line)
			if header == nil {
				break
			}
			formatted = true
			log.logicalPath = sqlAttributes(header[1])["logicalFilePath"]
			continue
		}
		if match := sqlChangeset.FindStringSubmatch(line); match != nil {
			e := changelogEntry{"changeSet", sqlAttributes(match[3])}
			e.attributes["author"], e.attributes["id"] = unquote(match[1]), unquote(match[2])
			log.entries = append(log.entries, e)
		} else if n := len(log.entries); n > 0 && sqlIgnored.MatchString(line) {
			log.entries[n-1].attributes["ignore"] = "true"
		}
	}
	if !formatted {
		log.entries = []changelogEntry{{"changeSet", map[string]string{"id": "raw", "author": "includeAll"}}}
	}
	return log
}

func sqlAttributes(text string) map[string]string {
	all := make(map[string]string)
	for _, match := range sqlAttribute.FindAllStringSubmatch(text, -1) {
		all[match[1]] = unquote(match[2])
	}
	return all
}

func unquote(text string) string { return strings.Trim(text, `"`) }
