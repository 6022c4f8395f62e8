package grpc

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

// answering is a Caller that answers every call alike.
type answering struct {
	got  sdk.CallRequest
	resp *sdk.CallResponse
	err  error
}

func (a *answering) Call(_ context.Context, r *sdk.CallRequest) (*sdk.CallResponse, error) {
	a.got.Headers.CopyFrom(&r.Headers)
	a.got.Body, a.got.Timeout, a.got.Limit = r.Body, r.Timeout, r.Limit
	return a.resp, a.err
}

func answer(status, body, trailer, message string) *sdk.CallResponse {
	r := &sdk.CallResponse{Body: []byte(body)}
	r.Headers.AddID(sdk.HeaderStatus, status)
	if trailer != "" {
		r.Trailers.AddID(sdk.HeaderGRPCStatus, trailer)
		r.Trailers.AddID(sdk.HeaderGRPCMessage, message)
	}
	return r
}

func TestInvoke(t *testing.T) {
	s := &Service{
		Cluster: "c", Authority: "svc", Timeout: 1500 * time.Millisecond, Limit: 100,
		Metadata: []Pair{{"x-token", "t"}},
	}
	a := &answering{resp: answer("200", "\x00\x00\x00\x00\x04\x0a\x02hi", "0", "")}
	var out wrapperspb.StringValue
	if err := s.Invoke(context.Background(), a, "/p.S/M", wrapperspb.String("x"), &out); err != nil || out.Value != "hi" {
		t.Fatalf("%v, %v", &out, err)
	}
	for name, want := range map[string]string{
		":method": "POST", ":path": "/p.S/M", ":authority": "svc", "te": "trailers", "content-type": "application/grpc",
		"grpc-timeout": "1500m", "x-token": "t",
	} {
		if got := a.got.Headers.Value(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if string(a.got.Body) != "\x00\x00\x00\x00\x03\x0a\x01x" || a.got.Timeout != s.Timeout || a.got.Limit != 105 {
		t.Errorf("sent %q, %v, %d", a.got.Body, a.got.Timeout, a.got.Limit)
	}
}

func TestInvokeFails(t *testing.T) {
	headersOnly := answer("200", "", "", "")
	headersOnly.Headers.AddID(sdk.HeaderGRPCStatus, "7")
	failed := func(status int, flag sdk.ResponseFlag) error {
		return &sdk.CallError{Err: &sdk.Error{Flag: flag}, Status: status, Text: "text"}
	}
	for _, tc := range []struct {
		name string
		a    answering
		code int
		text string
	}{
		{"status in trailers", answering{resp: answer("200", "", "5", "no%20such%")}, 5, "no such%"},
		{"status alone", answering{resp: headersOnly}, 7, ""},
		{"no status", answering{resp: answer("200", "\x00\x00\x00\x00\x00", "", "")}, Unknown, "the answer has no status"},
		{"unknown status", answering{resp: answer("200", "", "99", "")}, Unknown, "the answer has no status"},
		{"HTTP", answering{resp: answer("404", "gone", "", "")}, Unimplemented, "HTTP status 404"},
		{"no message", answering{resp: answer("200", "", "0", "")}, Internal, "the answer has no message"},
		{"compressed", answering{resp: answer("200", "\x01\x00\x00\x00\x00", "0", "")}, Internal, "the answer's message is compressed"},
		{"two", answering{resp: answer("200", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "0", "")}, Internal, "the answer is not of one message"},
		{"cut", answering{resp: answer("200", "\x00\x00\x00\x00\x02a", "0", "")}, Internal, "the answer is not of one message"},
		{"no host", answering{err: failed(503, sdk.FlagNoHealthyUpstream)}, Unavailable, "text"},
		{"timeout", answering{err: failed(504, sdk.FlagUpstreamRequestTimeout)}, DeadlineExceeded, "text"},
		{"reset", answering{err: failed(0, sdk.FlagUpstreamRemoteReset)}, Internal, "text"},
		{"cancelled", answering{err: context.Canceled}, Cancelled, "context canceled"},
		{"late", answering{err: context.DeadlineExceeded}, DeadlineExceeded, "context deadline exceeded"},
		{"other", answering{err: errors.New("x")}, Unknown, "x"},
	} {
		var s *Status
		err := (&Service{Timeout: time.Second}).Invoke(context.Background(), &tc.a, "/p.S/M", &wrapperspb.StringValue{}, &wrapperspb.StringValue{})
		if !errors.As(err, &s) || s.Code != tc.code || s.Message != tc.text {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestDecodeMessage(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "%41%6a": "Aj", "%4": "%4", "%zz%": "%zz%", "%E4%BD%A0": "你"} {
		if got := DecodeMessage(in); got != want {
			t.Errorf("%q gives %q", in, got)
		}
		if got := DecodeMessage(EncodeMessage(in)); got != in {
			t.Errorf("%q comes back as %q", in, got)
		}
	}
}
