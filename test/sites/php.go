package sites

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hale/test/servers"
)

// servePHP runs PHP-FPM on an address, or the path of a socket, and returns its
// log.
func servePHP(s *setting, listen string) (log string) {
	s.t.Helper()
	log = filepath.Join(s.dir(), "php-fpm.log")
	user := ""
	if os.Geteuid() == 0 {
		user = "user = nobody\ngroup = nogroup"
	}
	config := s.file("php-fpm.conf", `
[global]
error_log = `+log+`
[www]
`+user+`
listen = `+listen+`
listen.mode = 0666
pm = static
pm.max_children = 2
catch_workers_output = yes
`)
	servers.Run(s.t, servers.Spec{
		Name: "php-fpm*", Args: []string{"--nodaemonize", "--fpm-config", config},
		Listens: []string{listen}, StopSignal: syscall.SIGQUIT,
	})
	return log
}

// behindPHP is a site with nginx before PHP-FPM, whose server block has
// locations, and which has pages in PHP and a static file.
func behindPHP(locations string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		s.file("www/index.php", "<?php echo \"welcome\\n\";")
		s.file("www/health.php", "<?php echo \"healthy\\n\";")
		s.file("www/robots.txt", "User-agent: *\nDisallow:\n")
		s.words["@fpm@"] = filepath.Join(s.dir(), "fpm.sock")
		s.logs = append(s.logs, servePHP(s, s.words["@fpm@"]))
		return serveNginx(s, `
server {
	listen @address@;
	root @dir@/www;
	index index.php;
`+locations+`
}`)
	}
}

func phpSites() []Case {
	const row = "php-fpm-script-not-found"
	return []Case{
		{
			Name: "php-fpm-wrong-root", Row: row, Findings: []string{row}, Path: []string{"/robots.txt"},
			Start: askedFor("/health.php", behindPHP(`
	location ~ \.php$ {
		fastcgi_param REQUEST_METHOD $request_method;
		fastcgi_param SCRIPT_FILENAME /var/www/html$fastcgi_script_name;
		fastcgi_pass unix:@fpm@;
	}
`)),
		},
		{
			// PHP-FPM runs files of its own extensions alone.
			Name: "php-fpm-wrong-extension", Row: row, Findings: []string{row}, Path: []string{"/health.php"},
			Start: askedFor("/robots.txt", behindPHP(`
	location / {
		fastcgi_param REQUEST_METHOD $request_method;
		fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:@fpm@;
	}
`)),
		},
	}
}
