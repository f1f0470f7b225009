// Package rpc answers the two protocols of AWS that newer SDKs speak with
// services whose old protocol was Query, as CloudWatch's: JSON 1.0 (boto3, the
// aws command) and Smithy RPC v2 CBOR (aws-sdk-go-v2). Both send a structure and
// get one, whose members are named as the fields of the SDK's types are: an
// action needs no code for either.
package rpc

import (
	"context"
	"reflect"
)

// Service is one of AWS's services.
type Service struct {
	// Name is what its requests are signed for.
	Name string
	// Target is what its model calls it: GraniteServiceVersion20100801.
	Target  string
	Actions []Action
	// LeftOut are actions that the API has and this server has not. Who asks for
	// one is told so.
	LeftOut []string
	// Shapes are the names that the model has for errors of these codes, where
	// they differ.
	Shapes map[string]string
}

// Action is what a service can be asked for.
type Action struct {
	Name string
	run  func(context.Context, map[string]any) (any, error)
}

// Do returns an action. In and Out are the SDK's: structures, with a pointer,
// structure, list, map, string, number, boolean or time for each field.
func Do[In, Out any](name string, run func(context.Context, *In) (*Out, error)) Action {
	return Action{Name: name, run: func(ctx context.Context, members map[string]any) (any, error) {
		var in In
		if err := fillFields(reflect.ValueOf(&in).Elem(), members, ""); err != nil {
			return nil, err
		}
		return run(ctx, &in)
	}}
}
