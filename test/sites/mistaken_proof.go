package sites

func mistakenProofs() map[string]proof {
	return map[string]proof{
		"sinatra-https":        wantsHTTPS(301),
		"express-wants-accept": {asked(status(500)), asked(status(500), host(Domain)), asked(says(200, "ok"), field("Accept", "*/*"))},
		"neighbour":            chain(redirects(301, "https://"), forwardedHTTPS, status(404), path("/healthz"), says(200, "ok")),
		"neighbours":           {asked(fails(refused))},
		"neighbour-of-crashed": {asked(fails(refused)), inLog("Cannot find module './routes/index.js'")},
		"neighbour-of-proxy": {
			asked(says(503, "No server is available to handle this request.")),
			asked(status(503), host(Domain)),
		},
		"neighbours-of-proxy": chain(says(403, "403 Forbidden"), browser, status(502)),
		"proxy-wrong-port":    chain(says(403, "403 Forbidden"), browser, status(502)),
		"kubelet-follows-any-redirect": {
			asked(redirects(301, "https://"+Private+":")), asked(redirects(301, "https://"+Private+":"), forwardedHTTPS), asked(fails(noTLS), overTLS("")),
		},
		"proxy-down": {asked(fails(refused))},
		"php-source": {asked(says(200, "<?php")), asked(status(404), path("/nobody-knows-this.php"))},
		"php-fatal":  {asked(status(500)), asked(status(404), path(nowhere)), inLog("Class \"Shop\" not found")},
	}
}
