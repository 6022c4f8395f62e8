package sdk

import (
	"context"
	"time"
)

// DefaultCallLimit is the most bytes of body that the answer to a call may have when
// the call does not say: that of Envoy's client.
const DefaultCallLimit = 32 << 20

// CallRequest is a request that an extension makes itself, to a cluster of the proxy
// (Envoy's async client): by the cluster's own protocol, load balancing, connections and
// breakers, and counted in the cluster's stats as a request from inside.
type CallRequest struct {
	// Headers are those of the request: :method, :path, :authority and what else is to be
	// said.
	Headers Headers
	// Bare leaves out x-envoy-internal and x-forwarded-for, which are added else.
	Bare bool
	// Body is all of the body.
	Body []byte
	// Timeout is the most time that all attempts may take together. It must be positive.
	Timeout time.Duration
	// Limit is the most bytes of body that the answer may have, 0 for DefaultCallLimit.
	Limit int
	// Retry says when a failed attempt is followed by another, nil for never.
	Retry *CallRetry
}

// CallRetry is when a call is made once more (envoy.config.core.v3.RetryPolicy). It is
// read-only.
type CallRetry struct {
	// On lists Envoy's conditions: "5xx,reset,unavailable".
	On string
	// Attempts is the most that are made after the first.
	Attempts uint32
	// Elsewhere is how many more choices are made in place of a host that was tried
	// (previous_hosts); 0 takes any.
	Elsewhere int
	// Base and Max are those of the exponential back-off; 0 is Envoy's 25 ms, and ten
	// times Base.
	Base, Max time.Duration
}

// CallResponse is the whole answer to a call, whatever its status.
type CallResponse struct {
	Headers  Headers
	Body     []byte
	Trailers Headers // empty when there are none
}

// CallError is why a call has no whole answer.
type CallError struct {
	// Err tells whose side failed and Envoy's response flag.
	Err *Error
	// Details is Envoy's %RESPONSE_CODE_DETAILS% of the call.
	Details string
	// Status and Text are the answer that Envoy's client makes up: 503 and "no healthy
	// upstream", 504 and "upstream request timeout". Status is 0 where it makes none up: the
	// head of an answer had come, or the call could not be made.
	Status int
	Text   string
}

// Error implements error.
func (e *CallError) Error() string { return e.Text }

// Unwrap returns Err.
func (e *CallError) Unwrap() error { return e.Err }

// Answer returns the answer that Envoy's client makes up in place of the missing one, nil
// where it makes none up (Status).
func (e *CallError) Answer() *CallResponse {
	if e.Status == 0 {
		return nil
	}
	r := &CallResponse{Body: []byte(e.Text)}
	r.Headers.SetStatus(e.Status)
	if e.Err.Reset == ResetOverflow {
		r.Headers.SetID(HeaderEnvoyOverloaded, "true")
	}
	if e.Text != "" {
		r.Headers.SetInt(HeaderContentLength, int64(len(e.Text)))
		r.Headers.AddID(HeaderContentType, "text/plain")
	}
	return r
}

// CallID names a call of Stream.Call. 0 is none.
type CallID uint64

// Caller makes calls to one cluster from goroutines: of exporters, fetchers and the like.
// The Compiler gives it. It is used from any goroutine but a loop's, by many at a time.
type Caller interface {
	// Call makes a call and waits for its end. r must not be changed until then; the
	// answer is the caller's own. An error is a *CallError, or that of ctx.
	Call(ctx context.Context, r *CallRequest) (*CallResponse, error)
}
