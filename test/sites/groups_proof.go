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
	proofs := map[string][]proof{
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
		"group-security-group":     {well, well},
		"group-kill-loop":          {refusing},
		"group-ecs-node-set":       {expressProofs()["ecs-node-set"]},
		"group-cold-start":         {platformProofs()["asg-cold-start"]},
	}
	for name := range besides {
		proofs[name+"-asked"] = proofs[name]
	}
	return proofs
}
