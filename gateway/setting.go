package gateway

import (
	"errors"
	"fmt"
)

// SettingError is a mistake in Settings.
type SettingError struct {
	Field   string // of Settings: "Hosts"
	Index   int    // of the element, if the field is a list; else -1
	Value   string
	Problem string // what is wrong, and the way out
}

func (e *SettingError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("%s[%d]: %q %s", e.Field, e.Index, e.Value, e.Problem)
	}
	return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Problem)
}

// mistakes collects what is wrong with Settings.
type mistakes []error

func (m *mistakes) add(field string, index int, value any, problem string) {
	*m = append(*m, &SettingError{Field: field, Index: index, Value: fmt.Sprint(value), Problem: problem})
}

func (m mistakes) err() error { return errors.Join(m...) }
