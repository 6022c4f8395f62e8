package stream

import (
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestFiltersRemoveRequired: a head without what HTTP needs is not written, but answered.
func TestFiltersRemoveRequired(t *testing.T) {
	for _, c := range []struct {
		on, name, status, log string
	}{
		{"rh", ":method", "503 Service Unavailable", "- / 503 DPE filter_removed_required_request_headers{missing_required_header:_:method}"},
		{"rh", ":path", "503 Service Unavailable", "GET - 503 DPE filter_removed_required_request_headers{missing_required_header:_:path}"},
		{"sh", ":status", "502 Bad Gateway", "GET / 502 - filter_removed_required_response_headers{missing_required_header:_:status}"},
	} {
		ch := newChain("a", "b")
		remove := func(s sdk.Stream) sdk.Action {
			if c.on == "rh" {
				s.Request().Remove(c.name)
			} else {
				s.Response().Remove(c.name)
			}
			return sdk.Continue
		}
		ch.scripts[0].on[c.on] = remove
		w := newWorld(t, setup{filters: ch.filters()})
		cl := w.client()
		w.send(cl, get)
		if c.on == "sh" {
			w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
		}
		w.got(cl, local(c.status, "missing required header: "+c.name))
		w.logged(c.log)
		ch.balanced(t)
	}
}
