package trace

import (
	"context"
	"fmt"
	"time"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// Batching is what a provider sends when, by Envoy's runtime keys below a prefix.
func Batching(rt *runtime.Values, prefix string, most int, dropped, timed sdk.Counter) sdk.Batching {
	return sdk.Batching{
		Spans:    int(min(max(rt.Uint(prefix+".min_flush_spans", 5), 1), uint64(most))),
		Interval: time.Duration(min(max(rt.Uint(prefix+".flush_interval_ms", 5000), 1), 1<<31)) * time.Millisecond,
		Most:     most, Dropped: dropped, Timed: timed,
	}
}

// Post makes a call of which nothing but the status is of interest; any but want is an
// error.
func Post(ctx context.Context, c sdk.Caller, r *sdk.CallRequest, want int) error {
	resp, err := c.Call(ctx, r)
	if err != nil {
		return err
	}
	if got := resp.Headers.Status(); got != want {
		return StatusError(got)
	}
	return nil
}

// StatusError is an answer with another status than the one that was wanted.
type StatusError int

// Error implements error.
func (e StatusError) Error() string { return fmt.Sprintf("the collector answers %d", int(e)) }
