package stream

import (
	"context"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// moody is a filter that does anything.
type moody struct{ m *sim }

func (f moody) New(sdk.Stream) sdk.Filter { return f }
func (f moody) Close()                    {}

func (f moody) act(s sdk.Stream, resume func()) sdk.Action {
	switch f.m.pick(16) {
	case 0:
		s.After(time.Duration(f.m.pick(3000))*time.Millisecond, resume)
		return sdk.Pause
	case 1:
		s.Async(func(context.Context) error { return nil }, func(error) { resume() })
		return sdk.Pause
	case 2:
		s.Reply(sdk.Reply{Status: 403, Body: "moody"})
		return sdk.Replied
	case 3:
		s.After(time.Millisecond, func() { s.Reply(sdk.Reply{Status: 429}) })
		return sdk.Pause
	case 4:
		resume()
		return sdk.Pause
	}
	return sdk.Continue
}

func (f moody) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action  { return f.act(s, s.ResumeRequest) }
func (f moody) OnRequestTrailers(s sdk.Stream) sdk.Action         { return f.act(s, s.ResumeRequest) }
func (f moody) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action { return f.act(s, s.ResumeResponse) }
func (f moody) OnResponseTrailers(s sdk.Stream) sdk.Action        { return f.act(s, s.ResumeResponse) }
func (f moody) OnEnd(sdk.Stream)                                  {}

func (f moody) OnRequestData(s sdk.Stream, _ *sdk.Buffer, end bool) sdk.Action {
	if f.m.pick(8) == 0 && !end {
		return sdk.Collect
	}
	return f.act(s, s.ResumeRequest)
}

func (f moody) OnResponseData(s sdk.Stream, _ *sdk.Buffer, end bool) sdk.Action {
	if f.m.pick(8) == 0 && !end {
		return sdk.Collect
	}
	return f.act(s, s.ResumeResponse)
}
