package sites

func phpProofs() map[string]proof {
	return map[string]proof{
		"php-fpm-wrong-root": {
			asked(says(404, "File not found.")),
			asked(says(404, "File not found."), host(Domain)),
			asked(says(404, "File not found."), path("/index.php")),
			asked(says(200, "User-agent"), path("/robots.txt")),
			inLog("Primary script unknown"),
		},
		"php-fpm-wrong-extension": {
			asked(says(403, "Access denied.")),
			asked(says(403, "Access denied."), host(Domain)),
			asked(says(200, "healthy"), path("/health.php")),
			inLog("Access to the script"),
		},
	}
}
