package command

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
)

// probeJSON tells programs of probes: one document, of the one probe or of all.
type probeJSON struct {
	w       io.Writer
	target  string
	probe   probe.Probe
	many    bool
	raw     bool
	answers []answerJSON
}

// answerJSON is one probe and its answer, a contract.
type answerJSON struct {
	Healthy     bool          `json:"healthy"`
	Warning     string        `json:"warning,omitempty"`
	Reason      elb.Reason    `json:"reason,omitempty"`
	Description string        `json:"description,omitempty"`
	Because     string        `json:"because,omitempty"`
	Outcome     probe.Outcome `json:"outcome"`
	Proto       string        `json:"proto,omitempty"`
	Status      int           `json:"status,omitempty"`
	GRPC        *int          `json:"grpc_status,omitempty"`
	Header      []fieldJSON   `json:"header,omitempty"`
	Body        string        `json:"body,omitempty"`
	BodyBytes   int64         `json:"body_bytes"`
	TLS         string        `json:"tls,omitempty"`
	Times       timesJSON     `json:"times_ms"`
	Sent        string        `json:"sent"`
	Followed    []followJSON  `json:"followed,omitempty"`
	// The bytes as they are, in base64, with --raw.
	SentBytes     []byte `json:"sent_bytes,omitempty"`
	ReceivedBytes []byte `json:"received_bytes,omitempty"`
}

type fieldJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// followJSON is a redirect that was followed.
type followJSON struct {
	Status   int    `json:"status"`
	Location string `json:"location"`
}

// timesJSON are milliseconds; a phase that was not reached is left out.
type timesJSON struct {
	Resolve   float64 `json:"resolve,omitempty"`
	Connect   float64 `json:"connect,omitempty"`
	TLS       float64 `json:"tls,omitempty"`
	FirstByte float64 `json:"first_byte,omitempty"`
	Body      float64 `json:"body,omitempty"`
	Total     float64 `json:"total"`
}

// askedJSON is what was asked, the same for one probe and for many.
type askedJSON struct {
	Target      string         `json:"target"`
	As          string         `json:"as"`
	Address     string         `json:"address"`
	Protocol    probe.Protocol `json:"protocol"`
	Unconfirmed []string       `json:"unconfirmed"`
}

func (j *probeJSON) answer(a *probe.Answer) error {
	document := answerJSON{
		Healthy: a.Healthy, Reason: a.Reason, Description: a.Description, Because: a.Because,
		Outcome: a.Outcome, Proto: a.Proto, Status: a.Status,
		Header: fieldsJSON(a.Header), Body: string(a.Body), BodyBytes: a.BodySize,
		Times: timesJSON{
			milliseconds(a.Times.Resolve), milliseconds(a.Times.Connect), milliseconds(a.Times.TLS),
			milliseconds(a.Times.FirstByte), milliseconds(a.Times.Body), milliseconds(a.Times.Total),
		},
		Sent: string(a.Sent[:a.ProxyHeader]) + sentText(a.Sent[a.ProxyHeader:]),
	}
	if a.Warned() {
		document.Warning, document.Because = a.Because, ""
	}
	if a.GRPC >= 0 {
		document.GRPC = &a.GRPC
	}
	if a.TLS != nil {
		document.TLS = tlsLine(a.TLS)
	}
	for i := range a.Followed {
		document.Followed = append(document.Followed, followJSON{a.Followed[i].Status, a.Followed[i].Get("Location")})
	}
	if j.raw {
		document.SentBytes, document.ReceivedBytes = a.Sent, a.Received
	}
	j.answers = append(j.answers, document)
	return nil
}

func (j *probeJSON) end(tally *probe.Tally) error {
	asked := askedJSON{j.target, j.probe.Prober.Name, dialled(j.probe), j.probe.Protocol, append([]string{}, j.probe.Unconfirmed()...)}
	if !j.many {
		return writeJSON(j.w, struct {
			askedJSON
			answerJSON
		}{asked, j.answers[0]})
	}
	return writeJSON(j.w, struct {
		askedJSON
		Healthy bool                `json:"healthy"`
		State   elb.State           `json:"state"`
		Passed  int                 `json:"passed"`
		Failed  int                 `json:"failed"`
		Reasons []probe.ReasonCount `json:"reasons"`
		Probes  []answerJSON        `json:"probes"`
	}{asked, tally.Failed == 0, tally.State(), tally.Passed, tally.Failed, append([]probe.ReasonCount{}, tally.Reasons...), j.answers})
}

func fieldsJSON(fields []probe.Field) []fieldJSON {
	var all []fieldJSON
	for _, f := range fields {
		all = append(all, fieldJSON(f))
	}
	return all
}

// milliseconds rounds, but what took some time not to nothing.
func milliseconds(d time.Duration) float64 {
	const fine = 10 * time.Microsecond
	return float64(max(d.Round(fine), min(d, fine))) / float64(time.Millisecond)
}

// sentText is what was sent as text: HTTP/2 as its frames.
func sentText(wire []byte) string {
	if frames := probe.Frames(wire); len(frames) > 0 {
		return strings.Join(frames, "\n")
	}
	return string(wire)
}

// tlsLine tells of a handshake: "TLS 1.3, h2, certificate for mysite.com".
func tlsLine(state *tls.ConnectionState) string {
	parts := []string{tls.VersionName(state.Version)}
	if state.NegotiatedProtocol != "" {
		parts = append(parts, state.NegotiatedProtocol)
	}
	if len(state.PeerCertificates) > 0 {
		cert := state.PeerCertificates[0]
		names := append([]string{}, cert.DNSNames...)
		for _, ip := range cert.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			names = []string{cert.Subject.CommonName}
		}
		const most = 5
		if len(names) > most {
			names = append(names[:most], "...")
		}
		parts = append(parts, fmt.Sprintf("certificate for %s, until %s", escaped([]byte(strings.Join(names, " "))), cert.NotAfter.UTC().Format(time.DateOnly)))
	}
	return strings.Join(parts, ", ")
}
