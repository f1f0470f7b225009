package sites

import (
	"os"
	"syscall"
	"testing"

	"hale/test/servers"
)

// serveLighttpd starts lighttpd with more lines in its configuration, whose
// words are replaced, and returns the site.
func serveLighttpd(s *setting, configuration string) Site {
	s.t.Helper()
	s.file("www/health", "healthy\n")
	s.file("www/index.html", "welcome\n")
	s.file("www/status/index.html", "healthy\n")
	user := ""
	if os.Geteuid() == 0 {
		user = "server.username = \"nobody\"\nserver.groupname = \"nogroup\""
	}
	log := s.file("lighttpd.log", "")
	chmod(s.t, log, 0o666) // it opens the file as another user
	config := s.file("lighttpd.conf", `
server.bind = "127.0.0.5"
server.port = @port@
server.document-root = "@dir@/www"
server.errorlog = "`+log+`"
server.max-keep-alive-idle = 75
index-file.names = ("index.html")
`+user+configuration)
	servers.Run(s.t, servers.Spec{
		Name: "lighttpd", Args: []string{"-D", "-f", config}, Listens: []string{s.address},
		StopSignal: syscall.SIGKILL, // it looks for others but once a second
	})
	return s.site(log)
}

// lighttpd starts a site whose lighttpd serves app's pages as files.
func lighttpd(configuration string) func(testing.TB) Site {
	return func(t testing.TB) Site { return serveLighttpd(newSetting(t), configuration) }
}

// lighttpdBefore starts a site whose lighttpd passes everything on.
func lighttpdBefore(backend string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		return serveLighttpd(s, `
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => `+portOf(s.fill(backend))+`)))
`)
	}
}

func lighttpdSites() []Case {
	return []Case{
		{
			Name: "lighttpd-www", Row: "canonical-host-redirect", Findings: []string{"canonical-host-redirect"},
			Start: known("www.example.com", lighttpd(`
server.modules = ("mod_redirect")
$HTTP["host"] !~ "^www\." {
	url.redirect = ("" => "http://www.example.com${url.path}${qsa}")
	url.redirect-code = 302
}
`)),
		},
		{
			Name: "lighttpd-directory-slash", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"},
			Start: askedFor("/status", lighttpd("")),
		},
		{
			Name: "lighttpd-upstream-down", Row: "proxy-upstream-down-503", Findings: []string{"proxy-upstream-down-503"},
			Start: lighttpdBefore("@nobody@"),
		},
	}
}
