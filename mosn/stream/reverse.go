package stream

import (
	"cmp"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// reverse is a request that a host makes to the client over a connection that is tied
// to the client's, and its answer. Both go on as they come, but for their ids: no
// route, no filter and no access log sees them.
//
// It begins with OnHostHeaders and is over with finish, which puts it into its worker's
// free list.
type reverse struct {
	w     *Worker
	link  *reverse
	t     *ties
	host  cluster.HostCall
	id    uint64 // of the stream on the client's connection
	timer eventloop.Timer

	request, answer sdk.Buffer // of bodies: what the other side's codec has yet to take
	requestEnded    bool       // all of it has come
	answerEnded     bool
	sent            bool // the request is with the client's connection
	oneWay          bool
}

func (w *Worker) newReverse(t *ties) *reverse {
	r := w.reverses
	if r == nil {
		r = &reverse{w: w}
		r.host.Init(r)
		r.timer.Init(w.loop, r)
		r.request.Init(w.loop.Buffers())
		r.answer.Init(w.loop.Buffers())
	} else {
		w.reverses, r.link = r.link, nil
	}
	r.t = t
	return r
}

// OnHostHeaders implements cluster.HostCallEvents.
func (r *reverse) OnHostHeaders(_ *cluster.HostCall, m *sdk.Message, end bool) {
	r.w.enter()
	defer r.w.leave()
	d := r.t.d
	r.id, r.oneWay, r.requestEnded = d.codec.NewStream(), m.OneWay, end
	r.t.reverses.Put(r.id, r)
	r.w.stats.Inc(d.cfg.Stats.RqReverseTotal)
	r.w.stats.AddGauge(d.cfg.Stats.RqReverseActive, 1)
	if limit := cmp.Or(m.Timeout, d.cfg.StreamIdleTimeout); limit > 0 {
		r.timer.Arm(limit)
	}
	err := d.codec.WriteHeaders(d.c.Out(), r.id, m, end)
	d.wrote()
	switch {
	case err != nil:
		r.giveUp(sdk.ResetLocalRefused)
	case end:
		r.requestSent()
	}
}

// OnHostData implements cluster.HostCallEvents.
func (r *reverse) OnHostData(_ *cluster.HostCall, p []byte, end bool) {
	r.w.enter()
	defer r.w.leave()
	r.requestEnded = end
	if r.request.Empty() {
		p = p[r.write(p, end):]
		if len(p) == 0 {
			if end {
				r.requestSent()
			}
			return
		}
	}
	r.request.Append(p)
	r.t.toClient += len(p)
}

func (r *reverse) write(p []byte, end bool) int {
	d := r.t.d
	n := d.codec.WriteData(d.c.Out(), r.id, p, end)
	d.wrote()
	return n
}

// flushRequest goes on with a request that the client's codec takes more of.
func (r *reverse) flushRequest() {
	for !r.request.Empty() {
		p := r.request.First()
		end := r.requestEnded && len(p) == r.request.Len()
		n := r.write(p, end)
		r.request.Drain(n)
		r.t.toClient -= n
		switch {
		case n < len(p):
			return
		case end:
			r.t.readHosts()
			r.requestSent()
			return
		}
	}
	r.t.readHosts()
}

func (r *reverse) requestSent() {
	r.sent = true
	if r.oneWay {
		r.finish()
	}
}

// fromClient takes an event of the request's stream on the client's connection.
func (r *reverse) fromClient(ev *sdk.Event) {
	switch ev.Kind {
	case sdk.EventHeaders:
		if r.host.WriteHeaders(ev.Msg, ev.End) != nil {
			r.giveUp(sdk.ResetProtocol)
			return
		}
		if ev.End {
			r.answered()
		}
	case sdk.EventData:
		r.answerData(ev.Data, ev.End)
	case sdk.EventReset:
		r.host.Cancel(sdk.ResetRemote)
		r.answered()
	case sdk.EventWindow:
		r.flushRequest()
	}
}

func (r *reverse) answerData(p []byte, end bool) {
	r.answerEnded = end
	if r.answer.Empty() {
		p = p[r.host.WriteData(p, end):]
		if len(p) == 0 && end {
			r.answered()
			return
		}
	}
	r.answer.Append(p)
	r.t.toHosts += len(p)
	if r.host.AboveHigh() || r.t.toHosts > r.t.d.bufferLimit() {
		r.t.readClient(false)
	}
}

// OnHostWritable implements cluster.HostCallEvents.
func (r *reverse) OnHostWritable(*cluster.HostCall) {
	r.w.enter()
	defer r.w.leave()
	for !r.answer.Empty() {
		p := r.answer.First()
		end := r.answerEnded && len(p) == r.answer.Len()
		n := r.host.WriteData(p, end)
		r.answer.Drain(n)
		r.t.toHosts -= n
		switch {
		case n < len(p):
			return
		case end:
			r.answered()
			return
		}
	}
	r.t.readClient(true)
}

// answered ends the exchange; the rest of a request that the client did not wait for
// goes nowhere.
func (r *reverse) answered() {
	if !r.sent {
		r.t.d.cut(r.id)
	}
	r.finish()
}

// OnHostReset implements cluster.HostCallEvents.
func (r *reverse) OnHostReset(*cluster.HostCall) {
	r.w.enter()
	defer r.w.leave()
	r.t.d.cut(r.id)
	r.finish()
}

// OnTimer implements eventloop.TimerHandler: the client has not answered in time.
func (r *reverse) OnTimer(*eventloop.Timer) {
	r.w.enter()
	defer r.w.leave()
	r.giveUp(sdk.ResetConnTimeout)
}

// giveUp ends the exchange on both sides.
func (r *reverse) giveUp(reason sdk.ResetReason) {
	r.host.Cancel(reason)
	r.t.d.cut(r.id)
	r.finish()
}

func (r *reverse) finish() {
	t, w := r.t, r.w
	t.reverses.Remove(r.id)
	t.toClient -= r.request.Len()
	t.toHosts -= r.answer.Len()
	r.timer.Stop()
	r.request.Release()
	r.answer.Release()
	*r = reverse{w: w, link: w.reverses, host: r.host, timer: r.timer, request: r.request, answer: r.answer}
	w.reverses = r
	w.stats.AddGauge(t.d.cfg.Stats.RqReverseActive, -1)
	t.released()
}
