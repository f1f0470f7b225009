package sites

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hale/test/servers"
)

// tomcatJars are Debian's Tomcat, to be started without its scripts.
var tomcatJars = []string{
	"/usr/share/java/tomcat10-embed-core.jar", "/usr/share/java/tomcat10-embed-el.jar", "/usr/share/java/tomcat10-embed-jasper.jar",
}

// What Tomcat's configuration has in some sites.
const (
	// in server.xml: what the proxies say of the client is believed
	tomcatTrusts = `<Valve className="org.apache.catalina.valves.RemoteIpValve" protocolHeader="X-Forwarded-Proto" internalProxies="127\..*"/>`
	// in web.xml: everything needs TLS
	tomcatSecure = `
	<security-constraint>
		<web-resource-collection><web-resource-name>all</web-resource-name><url-pattern>/*</url-pattern></web-resource-collection>
		<user-data-constraint><transport-guarantee>CONFIDENTIAL</transport-guarantee></user-data-constraint>
	</security-constraint>`
)

// onTomcat is a Tomcat site with an application, which is mounted at a context
// ("ROOT" for none), and with lines in its server.xml and its web.xml.
func onTomcat(context, server, web string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		java := servers.Need(t, "java")
		for _, jar := range tomcatJars {
			if _, err := os.Stat(jar); err != nil {
				lacks(t, "Tomcat is not installed: apt-get install libtomcat10-embed-java")
			}
		}
		dir, address := t.TempDir(), private(t)
		write(t, filepath.Join(dir, "conf", "server.xml"), `<Server port="-1">
	<Service name="Catalina">
		<Connector port="`+portOf(address)+`" protocol="HTTP/1.1" keepAliveTimeout="75000" maxKeepAliveRequests="-1" maxThreads="8" redirectPort="8443"/>
		<Engine name="Catalina" defaultHost="localhost">`+server+`
			<Host name="localhost" appBase="webapps" autoDeploy="false"/>
		</Engine>
	</Service>
</Server>
`)
		app := filepath.Join(dir, "webapps", context)
		write(t, filepath.Join(app, "WEB-INF", "web.xml"), `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0" metadata-complete="true">
	<servlet><servlet-name>default</servlet-name><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class></servlet>
	<servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
	<welcome-file-list><welcome-file>index.html</welcome-file></welcome-file-list>`+web+`
</web-app>
`)
		write(t, filepath.Join(app, "health"), "ok\n")
		write(t, filepath.Join(app, "index.html"), "<h1>Shop</h1>\n")
		log := run(t, servers.Spec{
			Name: java,
			Args: []string{
				"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m", "-Dcatalina.home=" + dir, "-Dcatalina.base=" + dir,
				"-cp", strings.Join(tomcatJars, ":"), "org.apache.catalina.startup.Tomcat", "--await", "--catalina", "start",
			},
			Dir: dir,
		}, address).OutputFile()
		return site(address, log)
	}
}

// tomcatSites are faulty sites on Tomcat.
func tomcatSites() []Case {
	secure := "servlet-requires-secure"
	return []Case{
		{Name: "servlet-requires-secure", Row: secure, Findings: []string{secure}, Start: onTomcat("ROOT", tomcatTrusts, tomcatSecure)},
		{
			Name: "proto-header-not-trusted-tomcat", Row: "proto-header-not-trusted", Findings: []string{secure, "proto-header-not-trusted"},
			Start: onTomcat("ROOT", "", tomcatSecure),
		},
		{
			Name: "trailing-slash-redirect-tomcat", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"},
			Start: askedFor("/shop", onTomcat("shop", "", "")),
		},
		{Name: "path-prefix-tomcat", Row: "path-prefix", Findings: []string{"path-prefix"}, Path: []string{"/shop/health"}, Start: onTomcat("shop", "", "")},
		{
			Name: "handler-exception-tomcat", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: onTomcat("ROOT", "", "<listener><listener-class>com.example.Shop</listener-class></listener>"),
		},
		{Name: "wrong-path-404-tomcat", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/status", onTomcat("ROOT", "", ""))},
	}
}
