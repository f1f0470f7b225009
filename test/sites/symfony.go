package sites

import (
	"os"
	"testing"
)

// toPHP passes everything to one program, as frameworks in PHP want it.
const toPHP = `
server {
	listen @address@;
	location / {
		include /etc/nginx/fastcgi_params;
		fastcgi_param SCRIPT_FILENAME @dir@/symfony/index.php;
		fastcgi_pass unix:@dir@/php.sock;
	}
}`

// onSymfony is a Symfony site under PHP-FPM behind nginx, with the content of
// its site.php.
func onSymfony(settings string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		if _, err := os.Stat("/usr/share/php/Symfony/Component/HttpKernel/autoload.php"); err != nil {
			lacks(t, "Symfony is not installed: apt-get install php-symfony-http-kernel")
		}
		s := newSetting(t)
		unpack(t, "symfony", s.dir()+"/symfony")
		s.file("symfony/site.php", "<?php return ["+settings+"];\n")
		s.logs = append(s.logs, servePHP(s, s.dir()+"/php.sock"))
		return serveNginx(s, toPHP)
	}
}

// symfonySites are faulty sites in Symfony.
func symfonySites() []Case {
	hosts := "symfony-trusted-hosts"
	return []Case{
		{Name: "symfony-trusted-hosts", Row: hosts, Findings: []string{hosts}, Start: onSymfony(`'debug' => false, 'trusted_hosts' => ['^example\.com$']`)},
		{Name: "symfony-trusted-hosts-debug", Row: hosts, Findings: []string{hosts}, Start: onSymfony(`'debug' => true, 'trusted_hosts' => ['^example\.com$']`)},
		{
			Name: "handler-exception-symfony", Row: "handler-exception", Findings: []string{"handler-exception"},
			Start: askedFor("/broken", onSymfony(`'debug' => false, 'trusted_hosts' => []`)),
		},
	}
}
