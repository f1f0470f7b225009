package sites

import (
	"net/http"
	"strings"
	"testing"
)

// groupProofs are the proofs of the groups' targets, by the groups' names.
func groupProofs() map[string][]proof {
	well := proof{asked(status(http.StatusOK)), asked(status(http.StatusNotFound), path(nowhere))}
	lacking := proof{asked(status(http.StatusInternalServerError), host(Domain)), asked(status(http.StatusOK), path("/"), host(Domain))}
	waiting := proof{asked(fails(silent)), asked(status(http.StatusOK), path("/"))}
	refusing := proof{asked(status(http.StatusBadRequest)), asked(status(http.StatusOK), host(Domain))}
	preface := func(t *testing.T, s Site) {
		r := health(s, Patience)
		r.body = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		if a := r.send(); strings.HasPrefix(string(a.received), "\x00\x00") {
			t.Errorf("it speaks HTTP/2: %v", a)
		}
	}
	old := proof{asked(status(http.StatusOK), path("/")), does(preface)}
	return map[string][]proof{
		"group-healthy":            {well, well},
		"group-cascade-redis":      {lacking, lacking},
		"group-cascade-told":       {{asked(says(503, "connecting to "+Shared)), asked(status(200), path("/"))}, {asked(says(503, "connecting to "+Shared))}},
		"group-cascade-postgresql": {lacking, lacking},
		"group-cascade-dropped":    {waiting, waiting},
		"group-one-lacks-redis":    {lacking, well},
		"group-two-stores":         {lacking, lacking},
		"group-own-stores":         {lacking, lacking},
		"group-two-causes":         {lacking, refusing},
		"group-all-refuse-host":    {refusing, refusing},
		"group-beanstalk":          {refusing, refusing},
		"group-464-grpc":           {old, old},
		"group-464-http2":          {old, old},
		"group-dynamic-port":       {well, well},
	}
}

func TestEachGroupHasItsFault(t *testing.T) {
	all := groupProofs()
	for _, c := range Groups() {
		proofs, ok := all[c.Name]
		delete(all, c.Name)
		t.Run(c.Name, func(t *testing.T) {
			if !ok {
				t.Fatal("nothing proves its fault: give it an entry in groupProofs")
			}
			t.Parallel()
			if c.Alone {
				if _, within := OwnNetwork(t); !within {
					return
				}
			}
			g := c.Start(t)
			if len(g.Sites) != len(c.Of) || len(proofs) != len(c.Of) {
				t.Fatalf("%d targets, %d proofs, and findings of %d", len(g.Sites), len(proofs), len(c.Of))
			}
			for i, s := range g.Sites {
				s.Path = g.Path
				proofs[i].hold(t, Case{}, s)
			}
		})
	}
	for name := range all {
		t.Errorf("%s is proved, but no group", name)
	}
}
