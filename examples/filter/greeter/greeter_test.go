package greeter

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func says(greeting string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{"greeting": structpb.NewStringValue(greeting)}}
}

func TestGreets(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), says("hi"))
	greet := func(lines ...string) string {
		s := h.Stream()
		defer s.End()
		s.SendRequest(true, append([]string{":path: /hello"}, lines...)...)
		if len(s.Replies) != 1 {
			t.Fatalf("%d replies", len(s.Replies))
		}
		return s.Replies[0].Body
	}
	if got := greet(); got != "hi, stranger\n" {
		t.Errorf("said %q", got)
	}
	h.RouteConfig(Filter(), says("good day"))
	if got := greet("x-user: ann"); got != "good day, ann\n" {
		t.Errorf("said %q", got)
	}
	if n := h.Counted("greeter.greeted"); n != 2 {
		t.Errorf("counted %d", n)
	}
}

func TestMarksOthers(t *testing.T) {
	s := sdktest.NewHost(t, Filter(), says("hi")).Stream()
	defer s.End()
	s.SendRequest(true, ":path: /")
	s.SendResponse(true, ":status: 200")
	if got := s.ToClient.Value("x-greeter"); got != "hi" || len(s.Replies) != 0 {
		t.Errorf("x-greeter: %q, %d replies", got, len(s.Replies))
	}
}

func TestRefusesAnEmptyGreeting(t *testing.T) {
	c := sdktest.NewCompiler(t)
	for config, want := range map[*structpb.Struct]string{
		says(""): "greeting: is empty",
		{Fields: map[string]*structpb.Value{"greting": nil}}: "greting: there is no such field",
	} {
		if _, err := Filter().Compile(c, config); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %s", config, err, want)
		}
	}
}
