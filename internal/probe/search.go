package probe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
)

// found tells whether the text to look for is near the body's beginning, once
// gzip and deflate are undone.
func (p *Probe) found(a *Answer) bool {
	body := io.Reader(bytes.NewReader(a.Body))
	switch strings.ToLower(a.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
		if unpacked, err := gzip.NewReader(body); err == nil {
			body = unpacked
		}
	case "deflate":
		if unpacked, err := zlib.NewReader(body); err == nil {
			body = unpacked
		} else {
			body = flate.NewReader(bytes.NewReader(a.Body)) // what some servers take it for
		}
	}
	beginning, _ := io.ReadAll(io.LimitReader(body, int64(p.prober().SearchLimit)))
	return bytes.Contains(beginning, []byte(p.Search))
}
