package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestEcho(t *testing.T) {
	r := httptest.NewRequest("GET", "http://demo.example/hello?x=1", nil)
	r.Header.Set("X-Request-Id", "7")
	r.Header.Add("Accept", "a")
	r.Header.Add("Accept", "b")
	w := httptest.NewRecorder()
	echo("one").ServeHTTP(w, r)
	const want = "I am one. I was asked:\n\n  GET /hello?x=1 HTTP/1.1\n  host: demo.example\n  accept: a, b\n  x-request-id: 7\n"
	if w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("%d %q, want %q", w.Code, w.Body, want)
	}
}
