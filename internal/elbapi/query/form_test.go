package query

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"hale/internal/elb"
)

// shape has a field of each kind.
type shape struct {
	Name   *string
	Kind   kind
	Count  *int32
	Big    *int64
	Share  *float64
	On     *bool
	At     *time.Time
	Part   *part
	Names  []string
	Parts  []part
	Params map[string]string
}

type (
	kind string
	part struct {
		ID    *string
		Parts []inner
	}
	inner struct{ Values []string }
)

func TestReadAForm(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       shape
		refused    string
	}{
		{name: "nothing", text: "Action=X&Version=1", want: shape{}},
		{
			name: "one of each kind", text: "Name=a+b%26c&Kind=k&Count=-7&Big=9000000000&Share=0.5&On=true&At=2026-01-02T03%3A04%3A05.5%2B01%3A00",
			want: shape{Name: new("a b&c"), Kind: "k", Count: new(int32(-7)), Big: new(int64(9000000000)), Share: new(0.5), On: new(true), At: new(time.Date(2026, 1, 2, 2, 4, 5, 5e8, time.UTC))},
		},
		{name: "empty is there", text: "Name=&On=false", want: shape{Name: new(""), On: new(false)}},
		{name: "what is unknown is left alone", text: "Names.member.1=a&Name.x=b&Newer=c&part.ID=d", want: shape{Names: []string{"a"}}},
		{name: "an empty list", text: "Names=&Parts=", want: shape{Names: []string{}, Parts: []part{}}},
		{name: "an empty map", text: "Params=", want: shape{Params: map[string]string{}}},
		{name: "lists are in the order of their numbers", text: "Names.member.10=c&Names.member.2=b&Names.member.1=a", want: shape{Names: []string{"a", "b", "c"}}},
		{name: "with gaps", text: "Names.member.7=b&Names.member.3=a", want: shape{Names: []string{"a", "b"}}},
		{name: "a number costs nothing", text: "Names.member.2147483647=a", want: shape{Names: []string{"a"}}},
		{
			name: "structures within lists within structures", text: "Part.ID=a&Part.Parts.member.1.Values.member.1=b&Parts.member.1.ID=c&Parts.member.2.Parts.member.1.Values.member.2=e&Parts.member.2.Parts.member.1.Values.member.1=d",
			want: shape{
				Part:  &part{ID: new("a"), Parts: []inner{{Values: []string{"b"}}}},
				Parts: []part{{ID: new("c")}, {Parts: []inner{{Values: []string{"d", "e"}}}}},
			},
		},
		{name: "a map", text: "Params.entry.1.key=a&Params.entry.1.value=b&Params.entry.2.key=c", want: shape{Params: map[string]string{"a": "b", "c": ""}}},
		{name: "a map without a key", text: "Params.entry.1.value=b", refused: "ValidationError: Params.entry.1 has no key"},
		{name: "no number", text: "Count=1x", refused: `ValidationError: Value "1x" at Count is no whole number of 32 bits`},
		{name: "too big a number", text: "Count=9000000000", refused: `ValidationError: Value "9000000000" at Count is no whole number of 32 bits`},
		{name: "no share", text: "Share=NaN", refused: `ValidationError: Value "NaN" at Share is no number`},
		{name: "no boolean", text: "On=True", refused: `ValidationError: Value "True" at On is no boolean: true or false`},
		{name: "no time", text: "At=yesterday", refused: `ValidationError: Value "yesterday" at At is no time as in 2026-01-02T03:04:05Z`},
		{name: "a list that is none", text: "Names=a", refused: "ValidationError: Names is a list: write Names.member.1, Names.member.2 and so on"},
		{name: "a member without a number", text: "Parts.member.x.ID=a", refused: `ValidationError: "Parts.member.x.ID" is no member of a list: its number has to be 1, 2 and so on`},
		{name: "a member 0", text: "Names.member.0=a", refused: `ValidationError: "Names.member.0" is no member of a list: its number has to be 1, 2 and so on`},
		{name: "the same member written in two ways", text: "Names.member.1=a&Names.member.01=b", refused: `ValidationError: "Names.member.01" is no member of a list: its number has to be 1, 2 and so on`},
		{name: "a number beyond all", text: "Names.member.99999999999999999999=a", refused: `ValidationError: "Names.member.99999999999999999999" is no member of a list: its number has to be 1, 2 and so on`},
		{name: "given twice", text: "Name=a&Count=1&Name=b", refused: `ValidationError: Parameter "Name" is there twice`},
		{name: "no encoding", text: "Name=%zz", refused: `MalformedQueryString: Parameter 1: invalid URL escape "%zz"`},
		{name: "no UTF-8", text: "Name=%ff", refused: `ValidationError: Parameter "Name" is not UTF-8`},
		{name: "what would reach a terminal", text: "Count=%1b[2J", refused: `ValidationError: Value "\x1b[2J" at Count is no whole number of 32 bits`},
		{name: "a long value", text: "Count=" + strings.Repeat("9", 1000), refused: `ValidationError: Value "` + strings.Repeat("9", 100) + `..." at Count is no whole number of 32 bits`},
		{name: "too many parameters", text: manyParameters(mostParameters + 1), refused: "MalformedQueryString: The request has more than 20000 parameters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got shape
			f, err := parseForm(test.text)
			if err == nil {
				err = f.into(reflect.ValueOf(&got).Elem())
			}
			if test.refused != "" {
				if refused, ok := errors.AsType[*elb.Error](err); !ok || refused.Code+": "+refused.Message != test.refused {
					t.Errorf("error %v\nwant  %s", err, test.refused)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&Names.member." + strconv.Itoa(i+1) + "=a")
	}
	return b.String()
}

// A query string and a body are one form.
func TestAFormOfTwoParts(t *testing.T) {
	t.Parallel()
	f, err := parseForm("Version=1&&Action=X", "", "Names.member.1=a")
	want := form{{"Action", "X"}, {"Names.member.1", "a"}, {"Version", "1"}}
	if err != nil || !slices.Equal(f, want) {
		t.Errorf("got %v, %v; want %v", f, err, want)
	}
}

// FuzzForm: whatever comes in is read or refused in the API's words, makes no
// more members than there are parameters, and is written again without harm.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"Action=CreateRule&Actions.member.1.Type=forward&Actions.member.1.ForwardConfig.TargetGroups.member.1.Weight=1&Priority=10",
		"Conditions.member.999999999.Values.member.1=a&Tags=&Actions.member.1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.key=k",
		"Conditions.member.1=&Conditions.member.1.member.1=&.=&=&a.b.c&ListenerArn=%00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, err := parseForm(text)
		var in elbv2.CreateRuleInput
		if err == nil {
			err = form.into(reflect.ValueOf(&in).Elem())
		}
		if err != nil {
			if _, ok := errors.AsType[*elb.Error](err); !ok {
				t.Errorf("refused with %T %v", err, err)
			}
			return
		}
		if n := len(in.Actions) + len(in.Conditions) + len(in.Tags); n > len(form) {
			t.Errorf("%d members from %d parameters", n, len(form))
		}
		if written := answer(balancing, Action{Name: "X"}, &in, "id"); len(written) > 1000+20*len(text) {
			t.Errorf("%d bytes became %d", len(text), len(written))
		}
	})
}
