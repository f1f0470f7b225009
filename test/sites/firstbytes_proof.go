package sites

func firstBytesProofs() map[string]proof {
	header := proof{
		asked(fails(closed)),
		asked(fails(closed), host(Domain)),
		asked(says(200, "healthy"), proxyLine),
	}
	silently := func(text string) proof {
		return proof{
			asked(fails(closed)),
			asked(fails(closed), host(Domain)),
			asked(fails(closed), proxyLine),
			asked(fails(tlsFailed), overTLS(Domain)),
			inLog(text),
		}
	}
	return map[string]proof{
		"nginx-proxy-protocol":  append(header, inLog("while reading PROXY protocol")),
		"apache-proxy-protocol": header,
		"uwsgi-socket":          silently("invalid request block size: 21573"),
		"php-fpm-port":          silently("ready to handle connections"),
		"redis-port": {
			asked(fails(closed)),
			asked(fails(closed), host(Domain)),
			asked(fails(noTLS), overTLS(Domain), within(Patience)), // it waits for the end of a line
			inLog("Possible SECURITY ATTACK detected"),
		},
		"nats-port": {
			asked(failsSaying(notHTTP, `INFO {"server_id"`)),
			asked(failsSaying(notHTTP, `INFO {"server_id"`), proxyLine),
			asked(failsSaying(tlsFailed, "first record does not look like a TLS handshake"), overTLS(Domain)),
		},
	}
}
