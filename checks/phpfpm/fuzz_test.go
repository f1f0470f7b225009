package phpfpm

import (
	"bytes"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add("pool:                 www\nprocess manager:      dynamic\nstart time:           20/Nov/2026:19:22:49 +0000\nstart since:          2\naccepted conn:        3\n" +
		"listen queue:         0\nmax listen queue:     0\nlisten queue len:     511\nidle processes:       1\nactive processes:     1\ntotal processes:      2\n" +
		"max active processes: 1\nmax children reached: 0\nslow requests:        0\n\n************************\npid:                  7\nrequest URI:          /x\n")
	f.Fuzz(func(t *testing.T, page string) {
		s, ok := parse(page)
		if ok && (s.active < 0 || s.total < 0 || s.waiting < 0 || s.limit < 0 || s.started == "") {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzRead(f *testing.F) {
	whole := appendRecord(nil, stdout, []byte("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\nFile not found.\n"))
	f.Add(appendRecord(whole, endRequest, make([]byte, 8)))
	f.Add(appendRecord(nil, endRequest, []byte{0, 0, 0, 0, 2, 0, 0, 0}))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		output, err := read(bytes.NewReader(b))
		if len(output) > len(b) {
			t.Errorf("%d bytes of %d", len(output), len(b))
		}
		if err == nil {
			_, _ = parseCGI(output)
		}
	})
}
