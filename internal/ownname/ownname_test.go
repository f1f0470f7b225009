package ownname_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"hale/internal/ownname"
)

func TestOnly(t *testing.T) {
	t.Parallel()
	h := ownname.Only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"localhost":                 204,
		"localhost:8087":            204,
		"127.0.0.1":                 204,
		"127.0.0.1:8087":            204,
		"10.0.1.5:8087":             204,
		"[::1]":                     204,
		"[::1]:8087":                204,
		"evil.example":              421,
		"evil.example:8087":         421,
		"127.0.0.1.evil.example":    421,
		"localhost.evil.example":    421,
		"localhost.":                421,
		"127.0.0.1@evil.example":    421,
		"":                          421,
		"<script>alert(1)</script>": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}
