package demo

// line is a command to try, and what it is about.
type line struct {
	About   string
	Command string
}

// probeHost is what a load balancer puts into the Host header of its health
// request: an instance's private address.
const probeHost = "10.0.1.23:8080"

// lines are the commands to try.
func lines(p Places) []line {
	gateway := "http://" + p.Gateway
	return []line{
		{
			"As the load balancer asks, with the instance's private address for a host",
			"curl -i -H 'Host: " + probeHost + "' " + gateway + "/health",
		},
		{
			"As a user behind the load balancer, which says that TLS ended there",
			"curl -i -H 'Host: " + PublicHost + "' -H 'X-Forwarded-Proto: https' " + gateway + "/",
		},
		{
			"Over plain http: sent to https, with path and query",
			"curl -i -H 'Host: " + PublicHost + "' '" + gateway + "/archive?a=b'",
		},
		{
			"With a host that is not the site's: refused",
			"curl -i -H 'Host: evil.example' " + gateway + "/",
		},
		{
			"What each check found",
			"curl -s '" + gateway + "/health?format=json'",
		},
		{
			"Break it without the panel (faults: database, migrations, page, slow, disk), and do=mend",
			"curl -d fault=database -d do=break http://" + p.Panel + "/fault",
		},
	}
}
