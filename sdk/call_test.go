package sdk

import (
	"errors"
	"testing"
)

func TestCallErrorAnswer(t *testing.T) {
	e := &CallError{Err: &Error{Reset: ResetOverflow}, Status: 503, Text: "busy"}
	r := e.Answer()
	got := ""
	for name, value := range r.Headers.All() {
		got += name + "=" + value + " "
	}
	if got != ":status=503 x-envoy-overloaded=true content-length=4 content-type=text/plain " || string(r.Body) != "busy" {
		t.Errorf("%s%q", got, r.Body)
	}
	if !errors.Is(e, e.Err) || e.Error() != "busy" {
		t.Errorf("%v", e)
	}
	if r := (&CallError{Err: &Error{}}).Answer(); r != nil {
		t.Errorf("%+v", r)
	}
}
