package elbfake

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/smithy-go/middleware"
)

// answer writes an output of the SDK in the API's form. Both use the same names.
func answer(action string, output any) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="%s"><%[1]sResult>`, action, namespace)
	fields(&b, reflect.ValueOf(output).Elem(), true)
	fmt.Fprintf(&b, `</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%[1]sResponse>`, action, requestID)
	return b.Bytes()
}

// fields writes an element for each field of a structure. Of what is not set,
// only the lists at the top are written, so that they are read as empty ones.
func fields(b *bytes.Buffer, of reflect.Value, top bool) {
	for i := range of.NumField() {
		field, value := of.Type().Field(i), of.Field(i)
		list := value.Kind() == reflect.Slice
		if !field.IsExported() || field.Type == reflect.TypeFor[middleware.Metadata]() || value.IsZero() && (!top || !list) {
			continue
		}
		fmt.Fprintf(b, "<%s>", field.Name)
		element(b, value)
		fmt.Fprintf(b, "</%s>", field.Name)
	}
}

func element(b *bytes.Buffer, of reflect.Value) {
	if at, ok := reflect.TypeAssert[time.Time](of); ok {
		b.WriteString(at.UTC().Format("2006-01-02T15:04:05.000Z"))
		return
	}
	switch of.Kind() {
	case reflect.Pointer:
		element(b, of.Elem())
	case reflect.Struct:
		fields(b, of, false)
	case reflect.Slice:
		for i := range of.Len() {
			b.WriteString("<member>")
			element(b, of.Index(i))
			b.WriteString("</member>")
		}
	default:
		xml.EscapeText(b, fmt.Append(nil, of.Interface()))
	}
}

func errorAnswer(f Failure) string {
	var message bytes.Buffer
	xml.EscapeText(&message, []byte(f.Message))
	kind := "Sender"
	if f.Status >= 500 {
		kind = "Receiver"
	}
	return fmt.Sprintf(`<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
		namespace, kind, f.Code, message.String(), requestID)
}
