package health_test

import (
	"fmt"
	"reflect"
	"testing"

	"hale/health"
)

func TestTexts(t *testing.T) {
	type text interface {
		UnmarshalText([]byte) error
		MarshalText() ([]byte, error)
	}
	for _, tt := range []struct {
		make  func() text
		words []string
	}{
		{func() text { return new(health.Status) }, []string{"unknown", "pass", "warn", "fail"}},
		{func() text { return new(health.Impact) }, []string{"critical", "degraded"}},
		{func() text { return new(health.Scope) }, []string{"instance", "shared"}},
		{func() text { return new(health.SharedFailure) }, []string{"fail", "warn"}},
		{func() text { return new(health.Details) }, []string{"never", "loopback", "private", "always"}},
	} {
		t.Run(reflect.TypeOf(tt.make()).Elem().Name(), func(t *testing.T) {
			for i, word := range tt.words {
				v := tt.make()
				if err := v.UnmarshalText([]byte(word)); err != nil {
					t.Error(err)
				}
				if got := reflect.ValueOf(v).Elem().Uint(); got != uint64(i) {
					t.Errorf("%q is %d, want %d", word, got, i)
				}
				if b, err := v.MarshalText(); err != nil || string(b) != word || fmt.Sprint(v) != word {
					t.Errorf("%q comes back as %q, prints as %q, error %v", word, b, fmt.Sprint(v), err)
				}
			}
			if err := tt.make().UnmarshalText([]byte("Fail!")); err == nil {
				t.Error("an unknown word is taken")
			}
		})
	}
}
