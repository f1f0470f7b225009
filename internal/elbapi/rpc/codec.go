package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// codec is how a protocol writes structures.
type codec struct {
	contentType string
	protocol    string // of header Smithy-Protocol, in requests and answers
	decode      func([]byte) (map[string]any, error)
	encode      func(map[string]any) []byte
}

var (
	jsonCodec = codec{contentType: "application/x-amz-json-1.0", decode: decodeJSON, encode: encodeJSON}
	cborCodec = codec{contentType: "application/cbor", protocol: "rpc-v2-cbor", decode: decodeCBOR, encode: encodeCBOR}
)

func decodeJSON(body []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the structure")
	}
	for name, member := range members {
		members[name] = plain(member)
	}
	return members, nil
}

// plain has numbers in place of their texts.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		n, err := v.Float64()
		if err != nil {
			return math.NaN() // which no field takes
		}
		return n
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return v
}

func encodeJSON(members map[string]any) []byte {
	text, err := json.Marshal(forJSON(members))
	if err != nil { // a number that JSON has not; no action answers one
		return []byte("{}")
	}
	return text
}

// forJSON has seconds since 1970 in place of times, and numbers that may have a
// fraction with one, as AWS writes them: clients show 145.0 then.
func forJSON(v any) any {
	switch v := v.(type) {
	case time.Time:
		return seconds(v)
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return json.Number(text)
	case []any:
		for i := range v {
			v[i] = forJSON(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = forJSON(v[name])
		}
	}
	return v
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func decodeCBOR(body []byte) (map[string]any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	value, err := cbor.Decode(body)
	if err != nil {
		return nil, err
	}
	members, ok := value.(cbor.Map)
	if !ok {
		return nil, fmt.Errorf("the body is no map")
	}
	return fromCBOR(members).(map[string]any), nil
}

// epoch is the tag of a time: seconds since 1970 (RFC 8949, 3.4.2).
const epoch = 1

// unknown stands for what no field takes.
type unknown struct{}

func fromCBOR(value cbor.Value) any {
	switch v := value.(type) {
	case cbor.Map:
		members := make(map[string]any, len(v))
		for name, member := range v {
			members[name] = fromCBOR(member)
		}
		return members
	case cbor.List:
		items := make([]any, len(v))
		for i := range v {
			items[i] = fromCBOR(v[i])
		}
		return items
	case cbor.String:
		return string(v)
	case cbor.Bool:
		return bool(v)
	case cbor.Uint, cbor.NegInt:
		if n, err := cbor.AsInt64(value); err == nil {
			return n
		}
		return unknown{}
	case cbor.Float32:
		return float64(v)
	case cbor.Float64:
		return float64(v)
	case *cbor.Nil, *cbor.Undefined:
		return nil
	case *cbor.Tag:
		if at, ok := instant(fromCBOR(v.Value)); ok && v.ID == epoch {
			return at
		}
		return unknown{}
	default:
		return unknown{}
	}
}

func encodeCBOR(members map[string]any) []byte { return cbor.Encode(toCBOR(members)) }

func toCBOR(of any) cbor.Value {
	switch v := of.(type) {
	case map[string]any:
		members := make(cbor.Map, len(v))
		for name, member := range v {
			members[name] = toCBOR(member)
		}
		return members
	case []any:
		items := make(cbor.List, len(v))
		for i := range v {
			items[i] = toCBOR(v[i])
		}
		return items
	case string:
		return cbor.String(v)
	case bool:
		return cbor.Bool(v)
	case int64:
		if v < 0 {
			return cbor.NegInt(-v)
		}
		return cbor.Uint(v)
	case float64:
		return cbor.Float64(v)
	case time.Time:
		return &cbor.Tag{ID: epoch, Value: cbor.Float64(seconds(v))}
	default:
		return new(cbor.Nil)
	}
}
