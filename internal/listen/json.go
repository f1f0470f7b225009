package listen

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
)

// JSON tells of visits for programs: a document a line, in ASCII.
type JSON struct{ Out io.Writer }

// The documents are a contract.
type (
	visitJSON struct {
		Event      string        `json:"event"` // "visit"
		Number     int           `json:"number"`
		Time       time.Time     `json:"time"`
		Peer       string        `json:"peer"`
		Local      string        `json:"local"`
		Connection int           `json:"connection"`
		Nth        int           `json:"nth"` // on its connection
		WaitedMS   float64       `json:"waited_ms"`
		Kind       Kind          `json:"kind"`
		Why        string        `json:"why,omitempty"`
		Proxy      *proxyJSON    `json:"proxy,omitempty"`
		TLS        *tlsJSON      `json:"tls,omitempty"`
		Request    *requestJSON  `json:"request,omitempty"`
		Raw        []byte        `json:"raw"` // base64
		Size       int64         `json:"size"`
		LooksLike  []looksJSON   `json:"looks_like"`
		MayStumble []stumbleJSON `json:"may_stumble"`
		Answer     *answerJSON   `json:"answer,omitempty"`
	}
	proxyJSON struct {
		Version     int    `json:"version"`
		Command     string `json:"command"`
		Family      string `json:"family"`
		Source      string `json:"source,omitempty"`
		Destination string `json:"destination,omitempty"`
		Raw         []byte `json:"raw"`
	}
	tlsJSON struct {
		ServerName string   `json:"server_name,omitempty"`
		ALPN       []string `json:"alpn,omitempty"`
		Oldest     string   `json:"oldest,omitempty"`
		Newest     string   `json:"newest,omitempty"`
		Version    string   `json:"version,omitempty"` // agreed on
		Protocol   string   `json:"protocol,omitempty"`
		Raw        []byte   `json:"raw"`
	}
	requestJSON struct {
		Method  string      `json:"method"`
		Target  string      `json:"target"`
		Version string      `json:"version"`
		Header  []fieldJSON `json:"header"`
		Body    int64       `json:"body_size"`
		Flaws   []string    `json:"flaws,omitempty"`
	}
	fieldJSON struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	looksJSON struct {
		Prober  string   `json:"prober"`
		Title   string   `json:"title"`
		Signs   []string `json:"signs,omitempty"`
		Differs []string `json:"differs"`
	}
	stumbleJSON struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	answerJSON struct {
		Status  int     `json:"status"`
		GRPC    *int    `json:"grpc_status,omitempty"`
		DelayMS float64 `json:"delay_ms,omitempty"`
		Keep    bool    `json:"keep"`
	}
	leftJSON struct {
		Event      string  `json:"event"` // "left"
		Connection int     `json:"connection"`
		Visit      int     `json:"visit"`
		Visits     int     `json:"visits"`
		Answered   bool    `json:"answered"`
		AfterMS    float64 `json:"after_ms"`
		ByUs       bool    `json:"by_us"`
		Reset      bool    `json:"reset"`
	}
	summaryJSON struct {
		Event       string   `json:"event"` // "summary"
		Visits      int      `json:"visits"`
		Connections int      `json:"connections"`
		TurnedAway  int      `json:"turned_away"`
		TookMS      float64  `json:"took_ms"`
		By          []byJSON `json:"by"`
	}
	byJSON struct {
		Name      string  `json:"name"`
		Visits    int     `json:"visits"`
		Addresses int     `json:"addresses"`
		EveryMS   float64 `json:"every_ms,omitempty"`
	}
)

// Visit writes a visit.
func (j *JSON) Visit(v *Visit) error {
	doc := visitJSON{
		Event: "visit", Number: v.Number, Time: v.Time.UTC(), Peer: v.Peer.String(), Local: v.Local.String(),
		Connection: v.Connection, Nth: v.Nth, WaitedMS: milliseconds(v.Waited), Kind: v.Kind, Why: v.Why,
		Raw: v.Raw, Size: v.Size, LooksLike: []looksJSON{}, MayStumble: []stumbleJSON{},
	}
	if doc.Raw == nil {
		doc.Raw = []byte{} // not null
	}
	if p := v.Proxy; p != nil {
		doc.Proxy = &proxyJSON{Version: p.Version, Command: "PROXY", Family: p.Family, Raw: p.Raw}
		if p.Local {
			doc.Proxy.Command = "LOCAL"
		}
		if p.Source.IsValid() {
			doc.Proxy.Source, doc.Proxy.Destination = p.Source.String(), p.Destination.String()
		}
	}
	if h := v.TLS; h != nil {
		doc.TLS = &tlsJSON{ServerName: h.ServerName, ALPN: h.ALPN, Oldest: versionName(h.Oldest), Newest: versionName(h.Newest), Protocol: h.Protocol, Raw: h.Raw}
		if h.Version != 0 {
			doc.TLS.Version = tls.VersionName(h.Version)
		}
	}
	if r := v.Request; r != nil {
		doc.Request = &requestJSON{Method: r.Method, Target: r.Target, Version: r.Version, Header: []fieldJSON{}, Body: r.Body, Flaws: r.Flaws}
		for _, f := range r.Fields {
			doc.Request.Header = append(doc.Request.Header, fieldJSON{f.Name, f.Value})
		}
	}
	for _, l := range v.Looks {
		doc.LooksLike = append(doc.LooksLike, looksJSON{l.Prober.Name, l.Prober.Title, l.Signs, append([]string{}, l.Differs...)})
	}
	for _, s := range v.Stumbles {
		doc.MayStumble = append(doc.MayStumble, stumbleJSON(s))
	}
	if v.Reply.Status != 0 {
		doc.Answer = &answerJSON{Status: v.Reply.Status, DelayMS: milliseconds(v.Reply.Delay), Keep: v.Reply.Keep}
		if v.Reply.GRPC >= 0 {
			doc.Answer.GRPC = new(v.Reply.GRPC)
		}
	}
	return j.write(doc)
}

// Left writes a connection's end.
func (j *JSON) Left(l *Left) error {
	return j.write(leftJSON{
		Event: "left", Connection: l.Connection, Visit: l.Visit, Visits: l.Visits, Answered: l.Answered,
		AfterMS: milliseconds(l.After), ByUs: l.ByUs, Reset: l.Reset,
	})
}

// Summary writes what Serve returned.
func (j *JSON) Summary(s Summary) error {
	doc := summaryJSON{
		Event: "summary", Visits: s.Visits, Connections: s.Connections, TurnedAway: s.TurnedAway,
		TookMS: milliseconds(s.Took), By: []byJSON{},
	}
	for _, by := range s.By {
		doc.By = append(doc.By, byJSON{by.Name, by.Visits, by.Addresses, milliseconds(by.Every)})
	}
	return j.write(doc)
}

// write writes a document in ASCII, so that no terminal obeys what is in it.
func (j *JSON) write(doc any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	var ascii bytes.Buffer
	for _, r := range b.String() {
		switch {
		case r == '\n' || r >= ' ' && r < 0x7f:
			ascii.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	_, err := j.Out.Write(ascii.Bytes())
	return err
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
