package sites

import (
	"path/filepath"
	"testing"

	"hale/test/servers"
)

// serveCaddy starts Caddy with a Caddyfile, whose words are replaced, after
// global options that keep it from the Internet and from the machine's own
// store of certificates, and returns the site.
func serveCaddy(s *setting, caddyfile string) Site {
	s.t.Helper()
	if s.words["@http@"] == "" {
		s.words["@http@"] = portOf(loopback(s.t))
	}
	if s.words["@https@"] == "" {
		s.words["@https@"] = portOf(loopback(s.t))
	}
	log := filepath.Join(s.dir(), "caddy.log")
	file := s.file("Caddyfile", `
{
	admin off
	local_certs
	skip_install_trust
	http_port @http@
	https_port @https@
	default_bind 127.0.0.5
	log {
		output file `+log+`
	}
}
`+caddyfile)
	servers.Run(s.t, servers.Spec{
		Name: "caddy", Args: []string{"run", "--config", file, "--adapter", "caddyfile"},
		Env:     []string{"HOME=" + s.dir(), "XDG_CONFIG_HOME=" + s.dir(), "XDG_DATA_HOME=" + s.dir()},
		Listens: []string{s.address},
	})
	return s.site(log)
}

// caddy starts a site whose Caddy has the Caddyfile.
func caddy(caddyfile string) func(testing.TB) Site {
	return func(t testing.TB) Site { return serveCaddy(newSetting(t), caddyfile) }
}

func caddySites() []Case {
	return []Case{
		{
			Name: "caddy-other-host", Row: "caddy-empty-200", Findings: []string{"caddy-empty-200"},
			Start: caddy(`
http://example.com:@port@ {
	reverse_proxy @app@
}
`),
		},
		{
			Name: "caddy-other-path", Row: "caddy-empty-200", Findings: []string{"caddy-empty-200"},
			Start: caddy(`
http://:@port@ {
	handle /api/* {
		reverse_proxy @app@
	}
}
`),
		},
		{
			Name: "caddy-https", Row: "caddy-auto-https", Findings: []string{"caddy-auto-https"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.words["@http@"] = portOf(s.address)
				return serveCaddy(s, `
example.com {
	reverse_proxy @app@
}
`)
			},
		},
		{
			Name: "caddy-upstream-down", Row: "proxy-upstream-down-502", Findings: []string{"proxy-upstream-down-502"},
			Start: caddy(`
http://:@port@ {
	reverse_proxy @nobody@
}
`),
		},
	}
}
