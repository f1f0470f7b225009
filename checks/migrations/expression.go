package migrations

import (
	"errors"
	"slices"
	"strings"
)

// expression is a condition on a set of words, as Liquibase writes them for
// contexts and labels: "test or (prod and !eu)", where a comma is an "or"
// (https://docs.liquibase.com/concepts/changelogs/attributes/contexts.html).
// Words are compared without regard to case. The zero value is no condition.
type expression struct {
	holds func(words []string) bool // nil: always
}

func (e expression) match(words []string) bool { return e.holds == nil || e.holds(words) }

var errExpression = errors.New("is not an expression of words with and, or, not, !, commas and parentheses")

// maxNesting bounds parentheses and negations.
const maxNesting = 100

func parseExpression(text string) (expression, error) {
	if strings.TrimSpace(text) == "" {
		return expression{}, nil
	}
	spaced := strings.NewReplacer("(", " ( ", ")", " ) ", "!", " ! ", ",", " , ").Replace(text)
	p := &expressionParser{tokens: strings.Fields(strings.ToLower(spaced))}
	holds, err := p.either(0)
	if err == nil && len(p.tokens) > 0 {
		err = errExpression
	}
	return expression{holds}, err
}

// expressionParser takes tokens off its front.
type expressionParser struct{ tokens []string }

func (p *expressionParser) take(tokens ...string) bool {
	if len(p.tokens) == 0 || !slices.Contains(tokens, p.tokens[0]) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *expressionParser) either(depth int) (func([]string) bool, error) {
	left, err := p.both(depth)
	for err == nil && p.take("or", ",") {
		var right func([]string) bool
		a := left
		right, err = p.both(depth)
		left = func(words []string) bool { return a(words) || right(words) }
	}
	return left, err
}

func (p *expressionParser) both(depth int) (func([]string) bool, error) {
	left, err := p.term(depth)
	for err == nil && p.take("and") {
		var right func([]string) bool
		a := left
		right, err = p.term(depth)
		left = func(words []string) bool { return a(words) && right(words) }
	}
	return left, err
}

func (p *expressionParser) term(depth int) (func([]string) bool, error) {
	switch {
	case depth > maxNesting || len(p.tokens) == 0:
		return nil, errExpression
	case p.take("!", "not"):
		inner, err := p.term(depth + 1)
		return func(words []string) bool { return !inner(words) }, err
	case p.take("("):
		inner, err := p.either(depth + 1)
		if err == nil && !p.take(")") {
			err = errExpression
		}
		return inner, err
	case slices.Contains([]string{")", ",", "and", "or"}, p.tokens[0]):
		return nil, errExpression
	}
	word := strings.TrimPrefix(p.tokens[0], "@") // which changes nothing of a match
	p.tokens = p.tokens[1:]
	return func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
	}, nil
}
