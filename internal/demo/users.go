package demo

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"hale/internal/elb/answer"
)

// rate is how many requests the demo's users send in a second, and most how many
// may be waiting for an answer; while there are more, none are sent.
const (
	rate = 40
	most = 400
)

// givesUp is how long a user waits.
const givesUp = 5 * time.Second

// users ask the load balancer all the time, as many as there are: each request is
// sent at its moment, whatever became of those before it.
type users struct {
	url    string
	client *http.Client

	mu      sync.Mutex // guards what follows
	seconds [kept]second
	total   map[outcome]int
}

// kept is how many seconds are remembered.
const kept = 60

// second is what came in one second.
type second struct {
	at  int64 // the second, since 1970
	got map[outcome]int
	of  map[string]tally // by the instance that answered
}

// outcome is what a user got.
type outcome struct {
	Status  int
	ELB     bool   // the load balancer wrote the answer, not the site
	Problem string // why there was no answer
}

// Failed tells whether the user got nothing good.
func (o outcome) Failed() bool { return o.Status == 0 || o.Status >= http.StatusBadRequest }

// String says what a user got.
func (o outcome) String() string {
	switch {
	case o.Status == 0:
		return o.Problem
	case o.ELB:
		return strconv.Itoa(o.Status) + " from the load balancer"
	default:
		return strconv.Itoa(o.Status) + " from the site"
	}
}

// tally counts answers, and the errors among them.
type tally struct{ All, Failed int }

func newUsers(address string) *users {
	return &users{
		url: "http://" + address,
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConns: most, MaxIdleConnsPerHost: most},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       givesUp,
		},
		total: make(map[outcome]int),
	}
}

// run sends requests until ctx is done.
func (u *users) run(ctx context.Context) {
	defer u.client.CloseIdleConnections()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	free := make(chan struct{}, most)
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case free <- struct{}{}:
		default:
			continue
		}
		path := "/"
		if n%4 == 3 {
			path = "/archive"
		}
		waiting.Go(func() {
			got, instance := u.visit(ctx, path)
			<-free
			if ctx.Err() == nil {
				u.count(got, instance, time.Now())
			}
		})
	}
}

// visit asks for a page, and tells which instance answered.
func (u *users) visit(ctx context.Context, path string) (outcome, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url+path, nil)
	if err != nil {
		return outcome{Problem: err.Error()}, ""
	}
	r.Host = PublicHost
	r.Header.Set("User-Agent", "hale-demo")
	response, err := u.client.Do(r)
	if err == nil {
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil {
		return outcome{Problem: problemOf(err)}, ""
	}
	return outcome{Status: response.StatusCode, ELB: response.Header.Get("Server") == answer.Server}, response.Header.Get("X-Instance")
}

// problemOf says in few words why there was no answer, so that equal causes are
// counted together.
func problemOf(err error) string {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case ok && timeout.Timeout():
		return "no answer in " + givesUp.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	default:
		return "connection broken"
	}
}

func (u *users) count(got outcome, instance string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total[got]++
	s := &u.seconds[now.Unix()%kept]
	if s.at != now.Unix() {
		*s = second{now.Unix(), make(map[outcome]int), make(map[string]tally)}
	}
	s.got[got]++
	if instance != "" {
		t := s.of[instance]
		t.All++
		if got.Failed() {
			t.Failed++
		}
		s.of[instance] = t
	}
}

// visits is what users got.
type visits struct {
	Total   []counted        // the most frequent one first
	Recent  tally            // in the last seconds
	Seconds []tally          // the last one that is over at the end
	Of      map[string]tally // in the last seconds, by instance
}

// recently is how many seconds are the last ones.
const recently = 10

// PerSecond is a rate over the last seconds.
func (t tally) PerSecond() float64 { return float64(t.All) / recently }

// Percent is the share of errors.
func (t tally) Percent() float64 {
	if t.All == 0 {
		return 0
	}
	return 100 * float64(t.Failed) / float64(t.All)
}

// counted is how often users got something.
type counted struct {
	outcome

	Count int
}

// seen returns what users got until now.
func (u *users) seen(now time.Time) visits {
	u.mu.Lock()
	defer u.mu.Unlock()
	v := visits{Of: make(map[string]tally)}
	for o, n := range u.total {
		v.Total = append(v.Total, counted{o, n})
	}
	slices.SortFunc(v.Total, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.String(), b.String()))
	})
	for at := now.Unix() - kept + 1; at < now.Unix(); at++ { // this second is not over
		s := &u.seconds[at%kept]
		if s.at != at {
			v.Seconds = append(v.Seconds, tally{})
			continue
		}
		var sum tally
		for o, n := range s.got {
			sum.All += n
			if o.Failed() {
				sum.Failed += n
			}
		}
		v.Seconds = append(v.Seconds, sum)
		if at < now.Unix()-recently {
			continue
		}
		v.Recent.add(sum)
		for id, t := range s.of {
			all := v.Of[id]
			all.add(t)
			v.Of[id] = all
		}
	}
	return v
}

func (t *tally) add(o tally) {
	t.All += o.All
	t.Failed += o.Failed
}
