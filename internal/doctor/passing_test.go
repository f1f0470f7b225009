package doctor

import (
	"testing"
	"time"
)

// How long a server keeps idle connections, its command line tells.
func TestToldIdle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		program string
		args    []string
		want    time.Duration
		told    bool
	}{
		{"uvicorn", []string{"uvicorn", "shop:app", "--timeout-keep-alive", "75"}, 75 * time.Second, true},
		{"uvicorn", []string{"uvicorn", "--timeout-keep-alive=2", "--timeout-keep-alive=30", "shop:app"}, 30 * time.Second, true},
		{"uvicorn", []string{"uvicorn", "shop:app"}, 0, false},
		{"uvicorn", []string{"uvicorn", "shop:app", "--timeout-keep-alive"}, 0, false},
		{"uvicorn", []string{"uvicorn", "--keep-alive", "75"}, 0, false},
		{"gunicorn", []string{"gunicorn", "--keep-alive", "75", "shop:app"}, 75 * time.Second, true},
		{"gunicorn", []string{"gunicorn", "--keep-alive", "many"}, 0, false},
		{"lighttpd", []string{"lighttpd", "-f", "lighttpd.conf"}, 0, false},
		{"nginx", []string{"nginx", "--keep-alive", "75"}, 0, false},
	} {
		if got, _, told := toldIdle(test.program, test.args); got != test.want || told != test.told {
			t.Errorf("%q: %v, %v; want %v, %v", test.args, got, told, test.want, test.told)
		}
	}
}
