package query

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/aws/smithy-go/middleware"

	"hale/internal/elbapi/wire"
)

// timeForm is how the API writes times, in UTC.
const timeForm = "2006-01-02T15:04:05.000Z"

// answer writes an output of an SDK as the API does.
func answer(service Service, action Action, output any, id string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="%s">`, action.Name, service.Namespace)
	if !action.NoResult {
		fmt.Fprintf(&b, "<%sResult>", action.Name)
		if v := reflect.ValueOf(output); !v.IsNil() {
			writeFields(&b, v.Elem(), true)
		}
		fmt.Fprintf(&b, "</%sResult>", action.Name)
	}
	fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>\n", id, action.Name)
	return b.Bytes()
}

// refusal writes an error as the API does.
func refusal(namespace string, no wire.Refusal, id string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>`, namespace, no.Fault, no.Code)
	_ = xml.EscapeText(&b, []byte(no.Message)) // a buffer takes all
	fmt.Fprintf(&b, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>\n", id)
	return b.Bytes()
}

// writeFields writes an element for each field that is set. At the top a list
// that is not set is written as well, as an empty one: boto3 leaves out what is
// not there, and its users count on the list.
func writeFields(b *bytes.Buffer, of reflect.Value, top bool) {
	for i := range of.NumField() {
		field, v := of.Type().Field(i), of.Field(i)
		switch {
		case !field.IsExported() || field.Type == reflect.TypeFor[middleware.Metadata]():
		case v.IsZero() && (!top || v.Kind() != reflect.Slice):
		default:
			writeElement(b, field.Name, v)
		}
	}
}

func writeElement(b *bytes.Buffer, name string, v reflect.Value) {
	fmt.Fprintf(b, "<%s>", name)
	writeValue(b, v)
	fmt.Fprintf(b, "</%s>", name)
}

func writeValue(b *bytes.Buffer, v reflect.Value) {
	if at, ok := reflect.TypeAssert[time.Time](v); ok {
		b.WriteString(at.UTC().Format(timeForm))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		writeValue(b, v.Elem())
	case reflect.Struct:
		writeFields(b, v, false)
	case reflect.Slice:
		for i := range v.Len() {
			writeElement(b, "member", v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return cmp.Compare(x.String(), y.String()) })
		for _, key := range keys {
			b.WriteString("<entry>")
			writeElement(b, "key", key)
			writeElement(b, "value", v.MapIndex(key))
			b.WriteString("</entry>")
		}
	case reflect.Float32, reflect.Float64:
		b.WriteString(strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()))
	default:
		_ = xml.EscapeText(b, fmt.Append(nil, v.Interface()))
	}
}
