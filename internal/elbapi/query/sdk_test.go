package query

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"hale/internal/elbapi/wire"
)

var (
	balancing = Service{
		Name: "elasticloadbalancing", Version: "2015-12-01",
		Namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
	}
	scaling = Service{
		Name: "autoscaling", Version: "2011-01-01",
		Namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
	}
)

// sdks are those that the codec is held to.
var sdks = []struct {
	module     string
	service    Service
	operations int
	client     func(*recorder) any
}{
	{"elasticloadbalancingv2", balancing, 51, func(r *recorder) any { return r.client() }},
	{"autoscaling", scaling, 68, func(r *recorder) any {
		return autoscaling.New(autoscaling.Options{
			Region: "eu-west-1", HTTPClient: r, RetryMaxAttempts: 1, BaseEndpoint: aws.String("http://127.0.0.1"), Credentials: anyone,
		})
	}},
}

// TestEachOperationOfTheSDK holds the codec to the SDK's own: each request that
// ships with the SDK as the one it has to write is read into an input from which
// the SDK writes the same again, and an answer with every field filled is what
// the SDK reads.
func TestEachOperationOfTheSDK(t *testing.T) {
	t.Parallel()
	for _, sdk := range sdks {
		t.Run(sdk.module, func(t *testing.T) {
			t.Parallel()
			dir, operations := snapshots(t, sdk.module), 0
			for method := range reflect.TypeOf(sdk.client(nil)).Methods() {
				if method.Type.NumIn() == 4 { // Options has fewer
					operations++
					t.Run(method.Name, func(t *testing.T) { holdTo(t, dir, sdk.service, sdk.client, method) })
				}
			}
			if operations != sdk.operations {
				t.Errorf("%d operations, want %d", operations, sdk.operations)
			}
		})
	}
}

// holdTo holds the codec to one operation.
func holdTo(t *testing.T, dir string, service Service, client func(*recorder) any, method reflect.Method) {
	t.Parallel()
	file, err := os.ReadFile(filepath.Join(dir, method.Name+".request.snap"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(file), "application/x-www-form-urlencoded\n\n")
	if !ok {
		t.Fatalf("the snapshot has another form: %.200s", file)
	}
	f, err := parseForm(body)
	if err != nil {
		t.Fatal(err)
	}
	in := reflect.New(method.Type.In(2).Elem())
	if err := f.into(in.Elem()); err != nil {
		t.Fatal(err)
	}
	want := reflect.New(method.Type.Out(0).Elem())
	filled(want.Elem(), method.Name)
	server := &recorder{status: http.StatusOK, answer: answer(service, Action{Name: method.Name}, want.Interface(), "an-id")}
	out := method.Func.Call([]reflect.Value{reflect.ValueOf(client(server)), reflect.ValueOf(t.Context()), in})
	if err := out[1].Interface(); err != nil {
		t.Fatal(err)
	}
	got, wanted := values(t, server.request), values(t, body)
	maps.DeleteFunc(wanted, func(name string, _ []string) bool { return strings.Contains(name, "."+otherwise+".") })
	for name := range wanted {
		if !slices.Equal(got[name], wanted[name]) {
			t.Errorf("%s is %q when the SDK writes what was read, and was %q", name, got[name], wanted[name])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("the SDK writes %d parameters of the %d that were read", len(got), len(wanted))
	}
	read := out[0].Elem()
	read.FieldByName("ResultMetadata").SetZero()
	if !reflect.DeepEqual(read.Interface(), want.Elem().Interface()) {
		t.Errorf("the SDK reads\n%+v\nfrom\n%s", read.Interface(), server.answer)
	}
}

// An error is the SDK's type for its code, with message and request id.
func TestErrorsAreTyped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code string
		want error // nil: without a type
	}{
		{"TargetGroupNotFound", &types.TargetGroupNotFoundException{}},
		{"InvalidTarget", &types.InvalidTargetException{}},
		{"HealthUnavailable", &types.HealthUnavailableException{}},
		{"ValidationError", nil},
		{"Throttling", nil},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			server := &recorder{status: http.StatusBadRequest, answer: refusal(balancing.Namespace, wire.Refusal{Code: test.code, Message: "no <such> thing\x00", Fault: "Sender"}, "an-id")}
			_, err := server.client().DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String("arn")})
			refused, ok := errors.AsType[smithy.APIError](err)
			if !ok || refused.ErrorCode() != test.code || refused.ErrorMessage() != "no <such> thing\uFFFD" || !strings.Contains(err.Error(), "RequestID: an-id") {
				t.Fatalf("error %v", err)
			}
			if test.want != nil && reflect.TypeOf(refused) != reflect.TypeOf(test.want) {
				t.Errorf("is a %T, want %T", refused, test.want)
			}
		})
	}
}

// snapshots returns the directory of the requests in the SDK's module.
func snapshots(t *testing.T, module string) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+module)
	var complaint strings.Builder
	list.Stderr = &complaint
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("find the SDK's module: %v: %s", err, complaint.String())
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "request_snapshot")
}

// otherwise is the one field, of Auto Scaling's choice among types of instances,
// whose list the model names in another way than the SDK. Nothing here has it.
const otherwise = "BaselinePerformanceFactors"

// filled gives every field of a value something that tells it from others.
func filled(v reflect.Value, name string) {
	switch {
	case v.Type() == reflect.TypeFor[middleware.Metadata]():
		return
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Name != otherwise {
				filled(v.Field(i), name+"."+field.Name)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		filled(v.Index(0), name+" 1")
		filled(v.Index(1), name+" 2")
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a <key>"), reflect.ValueOf(name))
		v.SetMapIndex(reflect.ValueOf("another"), reflect.ValueOf(name))
	case reflect.String:
		v.SetString(name + " <&> \"é\"\n")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(len(name)))
	case reflect.Float64:
		v.SetFloat(1234567.25)
	default:
		panic("a kind that the codec does not know: " + v.Type().String())
	}
}

func values(t *testing.T, body string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// recorder takes the place of the network: it keeps the request, and gives the
// answer.
type recorder struct {
	status  int
	answer  []byte
	request string
}

func (r *recorder) client() *elbv2.Client {
	return elbv2.New(elbv2.Options{
		Region: "eu-west-1", HTTPClient: r, RetryMaxAttempts: 1, BaseEndpoint: aws.String("http://127.0.0.1"), Credentials: anyone,
	})
}

var anyone = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
})

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.request = string(body)
	return &http.Response{StatusCode: r.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(r.answer)), Request: req}, nil
}
