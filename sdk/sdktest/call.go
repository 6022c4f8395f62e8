package sdktest

import (
	"context"

	"sofamesh.io/sofamesh/sdk"
)

// Answer answers the calls that the code under test makes, in place of clusters. It
// returns one of the two.
type Answer func(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError)

// AnswerCalls sets who answers calls, of streams and of goroutines. Until then no cluster
// is known. Calls of goroutines come on those.
func (c *Compiler) AnswerCalls(a Answer) { c.answer = a }

// Response makes an answer of lines such as ":status: 200" and "a: b".
func Response(body string, lines ...string) *sdk.CallResponse {
	r := &sdk.CallResponse{Body: []byte(body)}
	fill(&r.Headers, lines)
	return r
}

func (c *shared) call(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
	if r.Timeout <= 0 {
		c.tb.Errorf("a call to %s has the timeout %v", cluster, r.Timeout)
	}
	if c.answer == nil {
		return nil, &sdk.CallError{
			Err:     &sdk.Error{Side: sdk.Local, Flag: sdk.FlagNoClusterFound, Details: "cluster_not_found", Unsent: true},
			Details: "cluster_not_found", Status: 503,
		}
	}
	return c.answer(cluster, r)
}

type caller struct {
	*shared
	cluster string
}

// Call implements sdk.Caller.
func (c caller) Call(ctx context.Context, r *sdk.CallRequest) (*sdk.CallResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	resp, e := c.call(c.cluster, r)
	if e != nil {
		return nil, e
	}
	return resp, nil
}
