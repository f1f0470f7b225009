package rpc

import (
	"cmp"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/aws/smithy-go/middleware"

	"hale/internal/elb"
)

// Both protocols are read into a tree of nil, bool, int64, float64, string,
// time.Time, []any and map[string]any, and are written from one.

var (
	timeType     = reflect.TypeFor[time.Time]()
	metadataType = reflect.TypeFor[middleware.Metadata]()
)

// fillFields sets a structure from members of the same names. Members that it has
// no field for are left alone, as AWS does: a newer client may send more than
// this server knows.
func fillFields(v reflect.Value, members map[string]any, path string) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		member, ok := members[field.Name]
		if !ok || member == nil || !field.IsExported() || field.Type == metadataType {
			continue
		}
		if err := fill(v.Field(i), member, strings.TrimPrefix(path+"."+field.Name, ".")); err != nil {
			return err
		}
	}
	return nil
}

func fill(v reflect.Value, from any, path string) error {
	refused := func(kind string) error {
		return elb.Errorf("SerializationException", "The value at %s is no %s", path, kind)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), from, path)
	}
	if v.Type() == timeType {
		at, ok := instant(from)
		if !ok {
			return refused("time in seconds since 1970")
		}
		v.Set(reflect.ValueOf(at))
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		members, ok := from.(map[string]any)
		if !ok {
			return refused("structure")
		}
		return fillFields(v, members, path)
	case reflect.Slice:
		items, ok := from.([]any)
		if !ok {
			return refused("list")
		}
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
		for i, item := range items {
			if item == nil {
				return refused("list without nulls")
			}
			if err := fill(v.Index(i), item, path+".member"); err != nil {
				return err
			}
		}
	case reflect.Map:
		entries, ok := from.(map[string]any)
		if !ok {
			return refused("map")
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
		for key, entry := range entries {
			value := reflect.New(v.Type().Elem()).Elem()
			if err := fill(value, entry, path+"."+key); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		}
	case reflect.String:
		text, ok := from.(string)
		if !ok {
			return refused("string")
		}
		v.SetString(text)
	case reflect.Bool:
		set, ok := from.(bool)
		if !ok {
			return refused("boolean")
		}
		v.SetBool(set)
	case reflect.Int32, reflect.Int64:
		number, ok := whole(from)
		if !ok || v.OverflowInt(number) {
			return refused("whole number that fits")
		}
		v.SetInt(number)
	case reflect.Float32, reflect.Float64:
		number, ok := decimal(from)
		if !ok {
			return refused("number")
		}
		v.SetFloat(number)
	default:
		return refused("value that this server knows")
	}
	return nil
}

func whole(from any) (int64, bool) {
	switch n := from.(type) {
	case int64:
		return n, true
	case float64: // some clients write 60.0
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	}
	return 0, false
}

func decimal(from any) (float64, bool) {
	switch n := from.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return 0, false
}

// instant takes a time, or seconds since 1970, or a time as text.
func instant(from any) (time.Time, bool) {
	if at, ok := from.(time.Time); ok {
		return at, true
	}
	if text, ok := from.(string); ok {
		at, err := time.Parse(time.RFC3339, text)
		return at.UTC(), err == nil
	}
	seconds, ok := decimal(from)
	if !ok || math.Abs(seconds) > 1<<40 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), true
}

// treeOf returns an SDK's output as a tree. Fields that are not set are left out,
// but for the lists at the top: clients count on them.
func treeOf(v reflect.Value, top bool) any {
	if at, ok := reflect.TypeAssert[time.Time](v); ok {
		return at
	}
	switch v.Kind() {
	case reflect.Pointer:
		return treeOf(v.Elem(), top)
	case reflect.Struct:
		members := make(map[string]any)
		for i := range v.NumField() {
			field, of := v.Type().Field(i), v.Field(i)
			if !field.IsExported() || field.Type == metadataType || of.IsZero() && (!top || of.Kind() != reflect.Slice) {
				continue
			}
			members[field.Name] = treeOf(of, false)
		}
		return members
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = treeOf(v.Index(i), false)
		}
		return items
	case reflect.Map:
		entries := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			entries[key.String()] = treeOf(v.MapIndex(key), false)
		}
		return entries
	case reflect.Bool:
		return v.Bool()
	case reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	default:
		return v.String()
	}
}

// refusal is an error as the model has it.
func (s Service) refusal(code, message string) map[string]any {
	return map[string]any{"__type": cmp.Or(s.Shapes[code], code), "message": message}
}
