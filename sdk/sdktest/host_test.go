package sdktest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

// scripted is a filter that does what a test says.
type scripted struct {
	sdk.PassThrough
	onRequest   func(s sdk.Stream, end bool) sdk.Action
	onData      func(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action
	onTrailers  func(s sdk.Stream) sdk.Action
	onResponse  func(s sdk.Stream, end bool) sdk.Action
	onBack      func(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action
	onTrailBack func(s sdk.Stream) sdk.Action
	ended       int
	closed      bool
}

func (f *scripted) New(sdk.Stream) sdk.Filter { return f }
func (f *scripted) Close()                    { f.closed = true }
func (f *scripted) OnEnd(sdk.Stream)          { f.ended++ }

func (f *scripted) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	if f.onRequest == nil {
		return sdk.Continue
	}
	return f.onRequest(s, end)
}

func (f *scripted) OnRequestData(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
	if f.onData == nil {
		return sdk.Continue
	}
	return f.onData(s, b, end)
}

func (f *scripted) OnRequestTrailers(s sdk.Stream) sdk.Action {
	if f.onTrailers == nil {
		return sdk.Continue
	}
	return f.onTrailers(s)
}

func (f *scripted) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	if f.onResponse == nil {
		return sdk.Continue
	}
	return f.onResponse(s, end)
}

func (f *scripted) OnResponseData(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
	if f.onBack == nil {
		return sdk.Continue
	}
	return f.onBack(s, b, end)
}

func (f *scripted) OnResponseTrailers(s sdk.Stream) sdk.Action {
	if f.onTrailBack == nil {
		return sdk.Continue
	}
	return f.onTrailBack(s)
}

func (f *scripted) host(t *testing.T) *Host {
	return NewHost(t, &sdk.HTTPFilter{
		Name: "scripted", Config: &wrapperspb.StringValue{},
		Compile: func(sdk.Compiler, proto.Message) (sdk.HTTPConfig, error) { return f, nil },
	}, wrapperspb.String("x"))
}

func TestHostPasses(t *testing.T) {
	f := &scripted{}
	s := f.host(t).Stream()
	s.SendRequest(false, ":path: /a", "x: 1")
	s.SendRequestData("ab", false)
	s.SendRequestTrailers("t: 2")
	s.SendResponse(true, ":status: 204")
	s.End()
	s.End()
	up, down := s.ToServer, s.ToClient
	if !slices.Equal(up.Head, []string{":path: /a", "x: 1"}) || up.Body != "ab" || up.Trailer("t") != "2" || !up.Ended {
		t.Errorf("%+v", up)
	}
	if down.Value(":status") != "204" || down.Value("x") != "-" || !down.Ended || f.ended != 1 {
		t.Errorf("%+v, ended %d times", down, f.ended)
	}
}

// TestHostStops compares with what mosn/stream does (TestStopAndResume, TestCollect).
func TestHostStops(t *testing.T) {
	seen := ""
	f := &scripted{
		onRequest: func(sdk.Stream, bool) sdk.Action { return sdk.Pause },
		onData: func(_ sdk.Stream, b *sdk.Buffer, _ bool) sdk.Action {
			seen += string(b.Bytes(nil)) + ";"
			return sdk.Continue
		},
		onResponse: func(sdk.Stream, bool) sdk.Action { return sdk.Collect },
		onBack: func(_ sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
			seen += string(b.Bytes(nil)) + ";"
			if end {
				b.AppendString("!")
				return sdk.Continue
			}
			return sdk.Collect
		},
	}
	s := f.host(t).Stream()
	s.SendRequest(false, ":path: /")
	s.SendRequestData("held", false)
	s.SendRequestTrailers("t: 1")
	if s.ToServer.Head != nil {
		t.Errorf("past a pause came %+v", s.ToServer)
	}
	s.ResumeRequest()
	if s.ToServer.Body != "held" || s.ToServer.Trailer("t") != "1" || !s.ToServer.Ended || seen != "" {
		t.Errorf("resumed: %+v, shown %q", s.ToServer, seen)
	}
	s.SendResponse(false, ":status: 200")
	s.SendResponseData("a", false)
	if s.ToClient.Head != nil || s.ResponseBody().Len() != 1 {
		t.Errorf("past a collecting filter came %+v", s.ToClient)
	}
	s.SendResponseData("b", true)
	if seen != "a;ab;" || s.ToClient.Body != "ab!" || !s.ToClient.Ended {
		t.Errorf("collected: %+v, shown %q", s.ToClient, seen)
	}
}

func TestHostTrailersAndBody(t *testing.T) {
	f := &scripted{
		onResponse: func(s sdk.Stream, end bool) sdk.Action {
			if end {
				s.ResponseBody().AppendString("body")
				s.AddResponseTrailers().Add("a", "1")
			} else if s.AddResponseTrailers() != nil {
				t.Error("trailers before the end")
			}
			return sdk.Continue
		},
		onTrailers: func(s sdk.Stream) sdk.Action {
			s.RequestBody().AppendString("+" + s.RequestTrailers().Value("t"))
			s.RequestTrailers().Remove("t")
			return sdk.Continue
		},
	}
	h := f.host(t)
	s := h.Stream()
	s.SendRequest(false, ":path: /")
	s.SendRequestData("x", false)
	s.SendRequestTrailers("t: y")
	if s.ToServer.Body != "x+y" || s.ToServer.Trailers != nil || !s.ToServer.Ended || s.RequestTrailers() != nil {
		t.Errorf("%+v", s.ToServer)
	}
	s.SendResponse(true, ":status: 200")
	if s.ToClient.Body != "body" || s.ToClient.Trailer("a") != "1" || !s.ToClient.Ended {
		t.Errorf("%+v", s.ToClient)
	}
	s.End()
	s = h.Stream()
	s.SendResponse(false, ":status: 200")
	if s.ToClient.Ended || s.ResponseTrailers() != nil {
		t.Errorf("%+v", s.ToClient)
	}
}

func TestHostRepliesAndLimits(t *testing.T) {
	f := &scripted{
		onRequest: func(s sdk.Stream, _ bool) sdk.Action {
			if s.Request().Path() == "/no" {
				s.Reply(sdk.Reply{Status: 403})
				return sdk.Replied
			}
			return sdk.Collect
		},
		onData: func(sdk.Stream, *sdk.Buffer, bool) sdk.Action { return sdk.Collect },
	}
	h := f.host(t)
	h.Limit = 3
	for path, want := range map[string]int{"/no": 403, "/big": 413} {
		s := h.Stream()
		s.SendRequest(false, ":path: "+path)
		s.SendRequestData("abcd", false)
		s.SendResponse(true, ":status: 200")
		if len(s.Replies) != 1 || s.Replies[0].Status != want || s.ToServer.Head != nil || s.ToClient.Head != nil {
			t.Errorf("%s: %+v, %+v", path, s.Replies, s.ToServer)
		}
		s.End()
	}
}

func TestHostServices(t *testing.T) {
	failed := errors.New("failed")
	var got []string
	f := &scripted{onRequest: func(s sdk.Stream, _ bool) sdk.Action {
		name, scope := s.Cluster()
		s.Inc(scope.Counter("rq"))
		s.Observe(scope.Histogram("ms"), 7)
		s.Async(func(context.Context) error { return failed }, func(err error) { got = append(got, name+" "+err.Error()) })
		s.After(time.Second, func() { got = append(got, "later"); s.ResumeRequest() })
		n := sdk.State[int](s)
		*n++
		if *n != 1 {
			t.Errorf("state is %d", *n)
		}
		return sdk.Pause
	}}
	h := f.host(t)
	for range 2 {
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		s.Settle()
		if s.ToServer.Head != nil {
			t.Error("resumed too early")
		}
		s.Time += time.Second
		s.Settle()
		if !s.ToServer.Ended {
			t.Error("not resumed")
		}
		s.End()
	}
	if want := "c failed later c failed later"; strings.Join(got, " ") != want {
		t.Errorf("%q", got)
	}
	if h.Counted("cluster.c.rq") != 2 || !slices.Equal(h.Observed("cluster.c.ms"), []uint64{7, 7}) {
		t.Errorf("counted %d, %v", h.Counted("cluster.c.rq"), h.Observed("cluster.c.ms"))
	}
}
