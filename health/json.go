package health

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// service is the top of a draft-inadarei-api-health-check-06 document.
type service struct {
	Status      Status     `json:"status"`
	Version     string     `json:"version,omitempty"`
	ReleaseID   string     `json:"releaseId,omitempty"`
	Notes       []string   `json:"notes,omitempty"`
	Output      string     `json:"output,omitempty"`
	Checks      components `json:"checks,omitempty"`
	ServiceID   string     `json:"serviceId,omitempty"`
	Description string     `json:"description,omitempty"`
}

// component is one element of the draft's checks object, the keys from type on
// being additional ones (section 4.10).
type component struct {
	ComponentType string   `json:"componentType"`
	ObservedValue *float64 `json:"observedValue,omitempty"` // how long the last run took
	ObservedUnit  string   `json:"observedUnit,omitempty"`
	Status        *Status  `json:"status,omitempty"` // none before the first answer
	Time          string   `json:"time,omitempty"`
	Output        string   `json:"output,omitempty"`

	Type       string  `json:"type,omitempty"`
	Group      string  `json:"group,omitempty"`     // that it is a member of
	CausedBy   string  `json:"caused_by,omitempty"` // the check that its failure follows from
	Impact     Impact  `json:"impact"`
	Scope      Scope   `json:"scope"`
	Since      string  `json:"since,omitempty"`
	Stuck      bool    `json:"stuck,omitempty"`
	LastStatus *Status `json:"lastStatus,omitempty"` // while rise or fall holds status
	LastOutput string  `json:"lastOutput,omitempty"`
}

// components is the draft's checks object, in the order of the checks.
type components []Result

// MarshalJSON implements json.Marshaler.
func (c components) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range c {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(c[i].Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal([]component{newComponent(&c[i])})
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func newComponent(r *Result) component {
	c := component{
		ComponentType: componentType(r.Type),
		Output:        r.Output,
		Type:          r.Type,
		Group:         r.Group,
		CausedBy:      r.CausedBy,
		Impact:        r.Impact,
		Scope:         r.Scope,
		Stuck:         r.Stuck,
	}
	if r.Status == Unknown {
		c.Output = notAsked
		return c
	}
	milliseconds := float64(r.Took.Microseconds()) / 1000
	c.ObservedValue, c.ObservedUnit = &milliseconds, "ms"
	c.Status, c.Time, c.Since = &r.Status, timestamp(r.Time), timestamp(r.Since)
	if r.Status == Pass {
		c.Output = "" // section 4.8
	}
	if r.Last != r.Status {
		c.LastStatus, c.LastOutput = &r.Last, r.LastOutput
	}
	return c
}

// componentType returns a value that section 4.2 allows: one of its own words,
// or a URI. Other kinds of check are told by the key type.
func componentType(kind string) string {
	if kind == "datastore" || kind == "system" || strings.Contains(kind, ":") {
		return kind
	}
	return "component"
}

// timestamp writes a time as RFC 3339 does, in UTC and to the millisecond.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// jsonBrief tells the status and nothing else.
func jsonBrief(s Status) *document { return jsonDocument(&service{Status: s}) }

// jsonFull tells all that is known.
func jsonFull(o *Options, v *Verdict) *document {
	s := &service{
		Status:      v.Status,
		Version:     o.Version,
		ReleaseID:   o.ReleaseID,
		ServiceID:   o.ServiceID,
		Description: o.Description,
		Output:      v.Reason,
		Checks:      v.Results,
	}
	if v.Starting {
		s.Notes = append(s.Notes, "starting")
	}
	if v.Draining {
		s.Notes = append(s.Notes, "draining")
	}
	return jsonDocument(s)
}

func jsonDocument(s *service) *document {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // strings, numbers and our own types: cannot happen
		return newDocument(typeHealthJSON, []byte(`{"status":"`+s.Status.String()+`"}`+"\n"))
	}
	return newDocument(typeHealthJSON, b.Bytes())
}
