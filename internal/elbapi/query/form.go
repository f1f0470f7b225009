package query

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hale/internal/elb"
	"hale/internal/elbapi/wire"
)

// mostParameters is how many a request may have: enough for 5,000 targets with
// all that a target has.
const mostParameters = 20_000

// parameter is one of a form.
type parameter struct{ name, value string }

// form is the parameters of a request in the order of their names, so that all
// that lie below a name stand side by side. Only what a structure has is looked
// up in it: a list's member costs the same whatever its number.
type form []parameter

// parseForm reads what stands in a query string or a body. Several are one form.
func parseForm(texts ...string) (form, error) {
	var f form
	for _, text := range texts {
		for pair := range strings.SplitSeq(text, "&") {
			if pair == "" {
				continue
			}
			if len(f) == mostParameters {
				return nil, elb.Errorf("MalformedQueryString", "The request has more than %d parameters", mostParameters)
			}
			name, value, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(name)
			if err == nil {
				value, err = url.QueryUnescape(value)
			}
			if err != nil {
				return nil, elb.Errorf("MalformedQueryString", "Parameter %d: %v", len(f)+1, err)
			}
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				return nil, elb.Errorf(elb.CodeValidation, "Parameter %s is not UTF-8", wire.Quoted(name))
			}
			f = append(f, parameter{name, value})
		}
	}
	slices.SortFunc(f, func(a, b parameter) int { return cmp.Compare(a.name, b.name) })
	for i := range f[min(1, len(f)):] {
		if f[i].name == f[i+1].name {
			return nil, elb.Errorf(elb.CodeValidation, "Parameter %s is there twice", wire.Quoted(f[i].name))
		}
	}
	return f, nil
}

// get returns the value of a parameter.
func (f form) get(name string) (string, bool) {
	i := f.search(name)
	if i == len(f) || f[i].name != name {
		return "", false
	}
	return f[i].value, true
}

// below returns the parameters whose names begin so.
func (f form) below(prefix string) form {
	rest := f[f.search(prefix):]
	end := sort.Search(len(rest), func(i int) bool { return !strings.HasPrefix(rest[i].name, prefix) })
	return rest[:end]
}

func (f form) search(name string) int {
	return sort.Search(len(f), func(i int) bool { return f[i].name >= name })
}

// into fills a structure from the parameters that are named as its fields.
// Parameters that it has no field for are left alone, as AWS does: a newer
// client may send more than this server knows.
func (f form) into(v reflect.Value) error {
	_, err := f.structure(v, "")
	return err
}

// fill sets a value from what stands at a name and below it, and tells whether
// anything did.
func (f form) fill(v reflect.Value, name string) (bool, error) {
	if v.Type() == timeType {
		return f.scalar(v, name)
	}
	switch v.Kind() {
	case reflect.Pointer:
		to := reflect.New(v.Type().Elem())
		ok, err := f.fill(to.Elem(), name)
		if ok {
			v.Set(to)
		}
		return ok, err
	case reflect.Struct:
		return f.structure(v, name+".")
	case reflect.Slice:
		return f.list(v, name)
	case reflect.Map:
		return f.entries(v, name)
	default:
		return f.scalar(v, name)
	}
}

func (f form) structure(v reflect.Value, prefix string) (bool, error) {
	f = f.below(prefix)
	found := false
	for i := range v.NumField() {
		if len(f) == 0 {
			break
		}
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		ok, err := f.fill(v.Field(i), prefix+field.Name)
		if err != nil {
			return found, err
		}
		found = found || ok
	}
	return found, nil
}

// list fills a list from name.member.1 and so on. The bare name with an empty
// value is an empty list.
func (f form) list(v reflect.Value, name string) (bool, error) {
	empty, bare := f.get(name)
	if bare && empty != "" {
		return false, elb.Errorf(elb.CodeValidation, "%s is a list: write %[1]s.member.1, %[1]s.member.2 and so on", name)
	}
	prefix := name + ".member."
	numbers, err := f.numbers(prefix)
	if err != nil || len(numbers) == 0 && !bare {
		return false, err
	}
	v.Set(reflect.MakeSlice(v.Type(), len(numbers), len(numbers)))
	for i, number := range numbers {
		if _, err := f.fill(v.Index(i), prefix+strconv.Itoa(number)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// entries fills a map from name.entry.1.key, name.entry.1.value and so on.
func (f form) entries(v reflect.Value, name string) (bool, error) {
	_, bare := f.get(name)
	prefix := name + ".entry."
	numbers, err := f.numbers(prefix)
	if err != nil || len(numbers) == 0 && !bare {
		return false, err
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(numbers)))
	for _, number := range numbers {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		at := prefix + strconv.Itoa(number)
		if ok, err := f.fill(key, at+".key"); err != nil || !ok {
			return false, cmp.Or(err, error(elb.Errorf(elb.CodeValidation, "%s has no key", at)))
		}
		if _, err := f.fill(value, at+".value"); err != nil {
			return false, err
		}
		v.SetMapIndex(key, value)
	}
	return true, nil
}

// numbers returns which members there are below a prefix, in their order. There
// may be gaps.
func (f form) numbers(prefix string) ([]int, error) {
	var numbers []int
	last := ""
	for _, p := range f.below(prefix) {
		text, _, _ := strings.Cut(p.name[len(prefix):], ".")
		if text == last && len(numbers) > 0 {
			continue
		}
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil || number < 1 || strconv.FormatInt(number, 10) != text {
			return nil, elb.Errorf(elb.CodeValidation, "%s is no member of a list: its number has to be 1, 2 and so on", wire.Quoted(p.name))
		}
		numbers, last = append(numbers, int(number)), text
	}
	slices.Sort(numbers)
	return numbers, nil
}

var timeType = reflect.TypeFor[time.Time]()

func (f form) scalar(v reflect.Value, name string) (bool, error) {
	text, ok := f.get(name)
	if !ok {
		return false, nil
	}
	refused := func(kind string) (bool, error) {
		return false, elb.Errorf(elb.CodeValidation, "Value %s at %s is no %s", wire.Quoted(text), name, kind)
	}
	if v.Type() == timeType {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return refused("time as in 2026-01-02T03:04:05Z")
		}
		v.Set(reflect.ValueOf(at.UTC()))
		return true, nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return refused("boolean: true or false")
		}
		v.SetBool(text == "true")
	case reflect.Int32, reflect.Int64:
		number, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return refused("whole number of " + strconv.Itoa(v.Type().Bits()) + " bits")
		}
		v.SetInt(number)
	case reflect.Float32, reflect.Float64:
		number, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil || number-number != 0 { // no infinity, and no NaN
			return refused("number")
		}
		v.SetFloat(number)
	default:
		return false, fmt.Errorf("read parameter %s: this server knows no %v", name, v.Type())
	}
	return true, nil
}
