package http_test

import (
	"net/http/httptest"
	"testing"

	check "hale/checks/http"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestSoak(t *testing.T) {
	api := httptest.NewServer(answers())
	defer api.Close()
	proxy := servers.Proxy(t, api.Listener.Addr().String())
	checktest.Soak(t, &check.Check{URL: "http://" + proxy.Address() + "/host"}, proxy.Open)
}
