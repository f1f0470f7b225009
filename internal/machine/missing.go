package machine

import (
	"regexp"
	"slices"
	"strings"
)

// Variable is a variable of the environment that a program says it lacks.
type Variable struct {
	Name string
	Line string // of the log, that says so
}

// MissingVariables returns the variables of the environment that lines of a log
// say are missing, each once. Values are in none of these messages.
func MissingVariables(lines []string) []Variable {
	var missing []Variable
	for i, line := range lines {
		for _, pattern := range missingVariable {
			groups := pattern.FindStringSubmatch(line)
			if groups == nil || optional.MatchString(line) || anyKey.MatchString(line) && ofOthers(lines[:i]) {
				continue
			}
			name := strings.Join(groups[1:], "") // one of them matched
			if likelyVariable(name) && !slices.ContainsFunc(missing, func(v Variable) bool { return v.Name == name }) {
				missing = append(missing, Variable{name, line})
			}
			break
		}
	}
	return missing
}

var (
	// optional is what programs say that go on without.
	optional = regexp.MustCompile(`(?i)\b(warn\w*|disabled?|disabling|using (?:the |a )?default|optional|ignor\w+|skipp\w+|fall\w* back|not be used)\b`)
	// anyKey may be of any dictionary of Python's.
	anyKey = regexp.MustCompile(`\bKeyError: `)
	// frame is a line of Python's traceback, of the environment one that reads it.
	frame         = regexp.MustCompile(`^\s+File "|^\s{4,}\S`)
	ofEnvironment = regexp.MustCompile(`environ|/os\.py"|<frozen os>|getenv`)
)

// traceLines is how many lines of a traceback's end tell where it is from.
const traceLines = 6

// ofOthers tells whether the traceback before a KeyError is of another dictionary
// than the environment. Where there is none, nobody knows.
func ofOthers(before []string) bool {
	traced := false
	for i := len(before) - 1; i >= max(0, len(before)-traceLines) && frame.MatchString(before[i]); i-- {
		if ofEnvironment.MatchString(before[i]) {
			return false
		}
		traced = true
	}
	return traced
}

// missingVariable are how languages and frameworks complain, with the name in a
// group.
var missingVariable = []*regexp.Regexp{
	// os.environ["X"] of Python: KeyError: 'X'. django-environ and others set
	// "Set the X environment variable".
	regexp.MustCompile(`\bKeyError: ['"]([A-Z][A-Z0-9_]+)['"]`),
	regexp.MustCompile(`(?i)\bset the ['"]?(\w+)['"]? (?:environment|env)\b`),
	// python-decouple.
	regexp.MustCompile(`\bUndefinedValueError: (\w+) not found\b`),
	// Ruby's ENV.fetch.
	regexp.MustCompile(`\bkey not found: ["'](\w+)["']`),
	// Django without SECRET_KEY; its settings have the names of variables.
	regexp.MustCompile(`\bThe ([A-Z][A-Z0-9_]+) setting must not be empty\b`),
	// Rails without secret_key_base.
	regexp.MustCompile(`\bMissing ` + "`" + `(secret_key_base)` + "`" + ` for\b`),
	// sh -u, and ${X:?}.
	regexp.MustCompile(`\b(\w+): (?:unbound variable|parameter not set|parameter null or not set)\b`),
	// Spring: Could not resolve placeholder 'X' in value "${X}".
	regexp.MustCompile(`\bCould not resolve placeholder '([\w.]+)'`),
	// Go's envconfig and caarlos0/env, pydantic, and what people write themselves.
	regexp.MustCompile(`\brequired key (\w+) missing value\b`),
	regexp.MustCompile(`(?i)\b(?:environment|env)(?: ?var(?:iable)?)?s? ['"` + "`" + `$]*([A-Za-z]\w*)['"` + "`" + `]* (?:is |was |are )?(?:required|missing|undefined|empty|unset|must be set|not (?:set|defined|found|provided|present))`),
	regexp.MustCompile(`(?i)\b(?:missing|undefined|unset|required)(?: required)? (?:environment|env)(?: ?var(?:iable)?)?s?:? ['"` + "`" + `$]*([A-Za-z]\w*)`),
	regexp.MustCompile(`['"` + "`" + `$]*\b([A-Z][A-Z0-9_]*_[A-Z0-9_]+|PORT|[A-Z]{4,})['"` + "`" + `]* (?i:(?:environment variable |env var |env variable )?(?:is |was )?(?:required|missing|unset|must be set|not set|not provided))`),
}

// likelyVariable tells names of variables from words that stand in their places.
func likelyVariable(name string) bool {
	return len(name) > 1 && (name == "secret_key_base" || strings.Contains(name, ".") || name == strings.ToUpper(name)) &&
		strings.Trim(name, "0123456789_") != ""
}
