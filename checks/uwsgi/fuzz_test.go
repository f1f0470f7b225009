package uwsgi

import (
	"strings"
	"testing"

	"hale/checks/internal/workers"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"pid":1,"cwd":"/","listen_queue_errors":0,"sockets":[{"name":"app.sock","queue":0,"max_queue":0}],
		"workers":[{"pid":7,"accepting":1,"status":"busy","requests":3,"harakiri_count":0,"respawn_count":1,"apps":[{}],"cores":[{"in_request":1,"vars":["PATH_INFO=/` + "\x01" + `"]}]}]}`))
	f.Add([]byte(`{"emperor":[],"vassals":[]}`))
	f.Add([]byte("HTTP/1.0 200 OK\r\n\r\n{}"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		s, err := parse(answer)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") || len(err.Error()) > 1000 {
				t.Errorf("%q", err)
			}
			return
		}
		if load := s.load(workers.Queue{}); load.Busy < 0 || load.Busy > load.Workers {
			t.Errorf("%+v", load)
		}
		_ = new(Check).able(s)
	})
}
