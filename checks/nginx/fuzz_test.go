package nginx

import "testing"

func FuzzParse(f *testing.F) {
	f.Add("Active connections: 291 \nserver accepts handled requests\n 16630948 16630948 31070465 \nReading: 6 Writing: 179 Waiting: 106 \n")
	f.Add("Active connections: 1 \nserver accepts handled requests\n 18446744073709551615 0 -1 \nReading: 0 Writing: 1 Waiting: 0 \n")
	f.Fuzz(func(t *testing.T, page string) {
		s, ok := parse(page)
		if ok && (s.active < 0 || s.reading < 0 || s.writing < 0 || s.waiting < 0) {
			t.Errorf("%+v", s)
		}
		_ = s.droppedSince(&status{accepted: 5, handled: 3})
		_ = (status{accepted: 5, handled: 7}).droppedSince(&s)
	})
}
