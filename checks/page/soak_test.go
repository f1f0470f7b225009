package page_test

import (
	"net/http/httptest"
	"testing"

	"hale/checks/page"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestSoak(t *testing.T) {
	app := httptest.NewServer(answers())
	defer app.Close()
	proxy := servers.Proxy(t, app.Listener.Addr().String())
	checktest.Soak(t, &page.Check{URL: "http://" + proxy.Address(), Path: "/redirect/1", Follow: 1, Host: "mysite.com"}, proxy.Open)
}
