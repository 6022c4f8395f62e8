package sdktest

import (
	"context"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

func TestHostAnswersCalls(t *testing.T) {
	var ended []string
	note := func(s sdk.Stream) func(*sdk.CallResponse, *sdk.CallError) {
		return func(r *sdk.CallResponse, e *sdk.CallError) {
			if e != nil {
				ended = append(ended, e.Details)
				return
			}
			ended = append(ended, string(r.Body))
			s.ResumeRequest()
		}
	}
	f := &scripted{onRequest: func(s sdk.Stream, _ bool) sdk.Action {
		r := &sdk.CallRequest{Timeout: time.Second}
		r.Headers.Add(":path", "/a")
		s.Call("c", r, note(s))
		r.Headers.Set(":path", "/b") // the call has its own
		s.CancelCall(s.Call("c", r, note(s)))
		return sdk.Pause
	}}
	h := f.host(t)
	s := h.Stream()
	s.SendRequest(true, ":path: /")
	if s.CallsWaiting() != 1 {
		t.Errorf("%d calls", s.CallsWaiting())
	}
	s.Settle()
	h.AnswerCalls(func(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
		return Response(cluster+r.Headers.Path(), ":status: 200"), nil
	})
	again := h.Stream()
	again.SendRequest(true, ":path: /")
	again.Settle()
	over := h.Stream()
	over.SendRequest(true, ":path: /")
	over.End()
	over.Settle()
	if len(ended) != 2 || ended[0] != "cluster_not_found" || ended[1] != "c/a" || !again.ToServer.Ended {
		t.Errorf("ended by %q, %+v", ended, again.ToServer)
	}
}

func TestCompilerCalls(t *testing.T) {
	c := NewCompiler(t)
	k := c.At("x").Caller("far")
	r := &sdk.CallRequest{Timeout: time.Second}
	if _, err := k.Call(context.Background(), r); err == nil {
		t.Error("an unknown cluster answers")
	}
	c.AnswerCalls(func(cluster string, _ *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
		return Response(cluster), nil
	})
	if resp, err := k.Call(context.Background(), r); err != nil || string(resp.Body) != "far" || c.Clusters()[0] != "far" {
		t.Errorf("%v, %v", resp, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := k.Call(ctx, r); err != context.Canceled {
		t.Error(err)
	}
}
