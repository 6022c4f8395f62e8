package stream

import (
	"context"
	"sync/atomic"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// FilterSlot is the place of a filter in a chain whose configuration comes by itself
// (ECDS) and may be replaced at any time. A stream keeps the configuration that it
// began with; one that was replaced is closed after its last stream. While there is
// none, requests are answered by 500, as in Envoy.
//
// Set and Close may be called on any goroutine but a loop's, one call at a time.
type FilterSlot struct {
	current atomic.Pointer[filterVersion]
	closed  bool
}

// filterVersion is a configuration with the number of those who use it: the streams,
// and the slot itself while it is the current one. At 0 it is closed.
type filterVersion struct {
	config sdk.HTTPConfig
	users  atomic.Int64
}

// Set replaces the configuration; nil leaves none. After Close there is nobody to use it:
// it is closed at once.
func (f *FilterSlot) Set(c sdk.HTTPConfig) {
	var v *filterVersion
	switch {
	case c != nil && f.closed:
		c.Close()
		return
	case c != nil:
		v = &filterVersion{config: c}
		v.users.Store(1)
	}
	if old := f.current.Swap(v); old != nil && old.users.Add(-1) == 0 {
		old.config.Close()
	}
}

// Close ends the slot, as its chain has ended.
func (f *FilterSlot) Close() {
	f.closed = true
	f.Set(nil)
}

// acquire takes the current version into use, nil when there is none.
func (f *FilterSlot) acquire() *filterVersion {
	for {
		v := f.current.Load()
		if v == nil {
			return nil
		}
		for n := v.users.Load(); n > 0; n = v.users.Load() {
			if v.users.CompareAndSwap(n, n+1) {
				return v
			}
		}
		// It was replaced between the two steps, and nobody is left: there is another.
	}
}

// release gives it back. What closes it must not hold up the loop.
func (v *filterVersion) release(l *eventloop.Loop) {
	if v.users.Add(-1) > 0 {
		return
	}
	closing := eventloop.JobFunc(
		func(context.Context) error { v.config.Close(); return nil },
		func(*eventloop.Loop, error) {},
	)
	if !l.Async(closing) {
		v.config.Close() // the queue is full: better here than never
	}
}

// unconfigured stands for a filter whose configuration has not come.
type unconfigured struct{ sdk.PassThrough }

// OnRequestHeaders implements sdk.Filter.
func (unconfigured) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	s.Reply(sdk.Reply{Status: 500, Flag: sdk.FlagNoFilterConfigFound})
	return sdk.Replied
}
