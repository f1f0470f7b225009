package sites

import (
	"testing"

	"hale/test/servers"
)

// varnish starts a site with Varnish before a backend.
func varnish(backend string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		vcl := s.file("default.vcl", `vcl 4.1; backend default { .host = "127.0.0.1"; .port = "`+portOf(s.fill(backend))+`"; }`)
		servers.Run(t, servers.Spec{
			Name: "varnishd",
			Args: []string{
				"-F", "-j", "none", "-n", s.dir() + "/varnish", "-a", s.address, "-f", vcl, "-s", "malloc,8m",
				"-p", "timeout_idle=75", "-p", "thread_pool_min=5",
			},
			Listens: []string{s.address},
		})
		return s.site()
	}
}

func varnishSites() []Case {
	return []Case{{
		Name: "varnish-backend-down", Row: "proxy-upstream-down-503", Findings: []string{"proxy-upstream-down-503"},
		Start: varnish("@nobody@"),
	}}
}
