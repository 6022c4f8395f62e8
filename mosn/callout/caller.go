package callout

import (
	"context"
	"slices"
	"sync/atomic"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// Manager hands out Callers over the loops of a proxy. Any goroutine may use it.
type Manager struct {
	locals []*Local
	last   atomic.Uint32
}

// NewManager returns a Manager over the loops' shares, at least one.
func NewManager(locals []*Local) *Manager { return &Manager{locals: locals} }

// Caller returns what makes calls to a cluster from goroutines. All its calls are made on
// one loop, so that they share connections; Callers take turns at the loops.
func (m *Manager) Caller(cluster string) sdk.Caller {
	n := m.last.Add(1)
	return &caller{m.locals[int(n)%len(m.locals)], cluster}
}

type caller struct {
	l       *Local
	cluster string
}

// Call implements sdk.Caller. Beside the loop's mailbox nothing queues here; when that is
// full the call fails at once.
func (c *caller) Call(ctx context.Context, r *sdk.CallRequest) (*sdk.CallResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &ask{caller: c, r: r, told: make(chan struct{})}
	stopped := c.l.loop.Done()
	if !c.l.loop.TryPost(a) {
		select {
		case <-stopped:
			return nil, stoppedError()
		default:
			return nil, &sdk.CallError{Err: errBusy, Details: errBusy.Details, Text: "the proxy is too busy to make the call"}
		}
	}
	select {
	case <-a.told:
	case <-stopped:
	case <-ctx.Done():
		// Until the loop has let go of it the request is not the caller's again.
		_ = c.l.loop.Post(eventloop.TaskFunc(func(*eventloop.Loop) { a.giveUp() })) // an error: the loop stops
		select {
		case <-a.told:
		case <-stopped:
		}
	}
	return a.result(ctx)
}

// ask is one call of a goroutine. It is the loop's until told is closed.
type ask struct {
	*caller
	r    *sdk.CallRequest
	set  Set
	over bool
	told chan struct{}

	resp *sdk.CallResponse
	err  *sdk.CallError
}

// Run implements eventloop.Task.
func (a *ask) Run(*eventloop.Loop) {
	if !a.over { // given up before it began
		a.set.Start(a.l, a, a.cluster, a.r, a.done)
	}
}

// OnCallDone implements Owner.
func (a *ask) OnCallDone(done Done, resp *sdk.CallResponse, e *sdk.CallError) { done(resp, e) }

// done hands the answer over: it is copied, but for a body so big that the call would not
// keep its storage anyway.
func (a *ask) done(resp *sdk.CallResponse, e *sdk.CallError) {
	if a.err = e; resp != nil {
		a.resp = &sdk.CallResponse{}
		a.resp.Headers.CopyFrom(&resp.Headers)
		a.resp.Trailers.CopyFrom(&resp.Trailers)
		if cap(resp.Body) > keptSize {
			a.resp.Body, resp.Body = resp.Body, nil
		} else {
			a.resp.Body = slices.Clone(resp.Body)
		}
	}
	a.tell()
}

// giveUp ends the call, if it has not ended.
func (a *ask) giveUp() {
	a.set.CancelAll()
	if !a.over {
		a.tell()
	}
}

func (a *ask) tell() {
	a.over = true
	close(a.told)
}

// result is what the call has come to: it was told, or the loop has ended.
func (a *ask) result(ctx context.Context) (*sdk.CallResponse, error) {
	select {
	case <-a.told:
	default:
		return nil, stoppedError()
	}
	switch {
	case a.err != nil:
		return nil, a.err
	case a.resp == nil:
		return nil, ctx.Err()
	}
	return a.resp, nil
}

func stoppedError() error {
	return &sdk.CallError{Err: errStopped, Details: errStopped.Details, Text: "the proxy has stopped"}
}
