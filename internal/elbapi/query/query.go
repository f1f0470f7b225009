// Package query answers AWS's Query protocol, as Elastic Load Balancing, Auto
// Scaling and CloudWatch speak it: a form comes in, XML goes out. The inputs and
// outputs are those of aws-sdk-go-v2, whose fields are named as the parameters
// and elements are, so that an action needs no code for either.
//
//	service := query.Service{
//		Name: "elasticloadbalancing", Version: "2015-12-01",
//		Namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
//		Actions:   []query.Action{query.Do("DescribeListeners", describeListeners)},
//	}
//	http.Serve(listener, query.NewHandler(query.Options{Services: []query.Service{service}}))
package query

import (
	"context"
	"reflect"
)

// Service is one of AWS's services.
type Service struct {
	// Name is what its requests are signed for.
	Name string
	// Version is of its API. A request names it, and no two services have the
	// same.
	Version string
	// Namespace is the XML namespace of its answers.
	Namespace string
	Actions   []Action
	// LeftOut are actions that the API has and this server has not. Who asks for
	// one is told so.
	LeftOut []string
}

// Action is what a service can be asked for.
type Action struct {
	Name string
	// NoResult is of an action that answers nothing: no result element is
	// written, not even an empty one. SDKs want it so for the actions whose model
	// has no output (SetDesiredCapacity), and want an empty element for those
	// whose output has no members (DeleteListener).
	NoResult bool

	run func(context.Context, form) (any, error)
}

// Do returns an action. In and Out are the SDK's: structures, with a pointer,
// structure, list, map, string, number, boolean or time for each field.
func Do[In, Out any](name string, run func(context.Context, *In) (*Out, error)) Action {
	return Action{Name: name, run: func(ctx context.Context, f form) (any, error) {
		var in In
		if err := f.into(reflect.ValueOf(&in).Elem()); err != nil {
			return nil, err
		}
		return run(ctx, &in)
	}}
}

// Silent returns the action without a result element.
func (a Action) Silent() Action {
	a.NoResult = true
	return a
}
