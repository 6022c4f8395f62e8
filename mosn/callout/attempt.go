package callout

import (
	"fmt"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

var (
	_ cluster.CallEvents     = (*call)(nil)
	_ eventloop.TimerHandler = (*call)(nil)
)

// OnCallReady implements cluster.CallEvents: the request is written.
func (c *call) OnCallReady(a *cluster.Call) {
	if err := a.WriteHeaders(&c.req, len(c.body) == 0); err != nil {
		c.fail(&sdk.CallError{Err: errUnwritable, Details: errUnwritable.Details, Status: 503, Text: err.Error()})
		return
	}
	c.ready = true
	c.write()
}

// OnCallWritable implements cluster.CallEvents.
func (c *call) OnCallWritable(*cluster.Call) { c.write() }

// OnCallInformational implements cluster.CallEvents.
func (c *call) OnCallInformational(_ *cluster.Call, m *sdk.Message) {
	c.cluster.CountResponse(m.Status(), c.internal)
}

// OnCallHeaders implements cluster.CallEvents.
func (c *call) OnCallHeaders(a *cluster.Call, m *sdk.Message, end bool) {
	if c.retry.wantsResponse(c, m) {
		c.host.Errors.Add(1)
		if !end {
			a.Cancel(sdk.ResetLocal)
		}
		c.again()
		return
	}
	c.retry.release(c.cluster)
	c.answered = true
	c.cluster.CountResponse(m.Status(), c.internal)
	c.judge(m, end)
	c.resp.Headers.Swap(&m.Headers)
	c.resp.Headers.SetInt(sdk.HeaderEnvoyUpstreamServiceTime, c.age())
	if end {
		c.complete()
	}
}

// judge counts the host's answer as its success or error, one of gRPC by grpc-status.
func (c *call) judge(m *sdk.Message, end bool) {
	switch {
	case m.Status() >= 500:
		c.host.Errors.Add(1)
	case !c.grpc:
		c.host.Successes.Add(1)
	case end:
		c.judgeGRPC(&m.Headers)
	default:
		c.unjudged = true
	}
}

func (c *call) judgeGRPC(end *sdk.Headers) {
	c.unjudged = false
	if grpc.ServerFailed(end) {
		c.host.Errors.Add(1)
	} else {
		c.host.Successes.Add(1)
	}
}

// age is how long the call takes so far, in milliseconds.
func (c *call) age() int64 { return int64((c.l.loop.Now() - c.start) / time.Millisecond) }

// OnCallData implements cluster.CallEvents.
func (c *call) OnCallData(_ *cluster.Call, p []byte, end bool) {
	if len(c.resp.Body)+len(p) > c.limit {
		c.fail(&sdk.CallError{
			Err: errTooLarge, Details: errTooLarge.Details,
			Text: fmt.Sprintf("the answer's body is larger than %d bytes", c.limit),
		})
		return
	}
	c.resp.Body = append(c.resp.Body, p...)
	if end {
		c.complete()
	}
}

// OnCallTrailers implements cluster.CallEvents.
func (c *call) OnCallTrailers(_ *cluster.Call, m *sdk.Message) {
	if c.unjudged {
		c.judgeGRPC(&m.Headers)
	}
	c.resp.Trailers.Swap(&m.Headers)
	c.complete()
}

// complete: all of the answer is here.
func (c *call) complete() {
	c.cluster.ObserveTime(uint64(c.age()), c.internal)
	c.finish(&c.resp, nil)
}

// OnCallFailed implements cluster.CallEvents.
func (c *call) OnCallFailed(a *cluster.Call, e *sdk.Error) {
	details := cluster.FailureDetails(e, a.TransportFailure())
	if c.answered {
		c.fail(cutOff(e, "upstream_reset_after_response_started{"+details+"}"))
		return
	}
	c.host.Errors.Add(1)
	if c.retry.wantsReset(c, e, a.Reused()) {
		c.again()
		return
	}
	status := cluster.FailureStatus(e)
	c.cluster.CountResponse(status, c.internal)
	c.fail(&sdk.CallError{
		Err: e, Details: "upstream_reset_before_response_started{" + details + "}",
		Status: status, Text: cluster.FailureText(e, c.retry.made > 0),
	})
}
