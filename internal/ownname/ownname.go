// Package ownname refuses requests that web pages send to this machine by DNS
// rebinding.
package ownname

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Only refuses requests whose Host is a name other than localhost, with 421: a
// web page that had its own name resolve to this machine could otherwise send
// requests here from a browser, and read the answers.
func Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Is(r.Host) {
			http.Error(w, "421: ask for this address by its IP address or as localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Is tells whether a Host header has an IP address or localhost, with or without
// a port.
func Is(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}
