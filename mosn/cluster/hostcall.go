package cluster

import (
	"slices"

	"sofamesh.io/sofamesh/mosn/idtable"
	"sofamesh.io/sofamesh/sdk"
)

// HostCallEvents is how the owner of a HostCall is told of its progress, on the loop.
type HostCallEvents interface {
	// OnHostHeaders brings the request's head, first of all. m is scratch.
	OnHostHeaders(h *HostCall, m *sdk.Message, end bool)
	// OnHostData brings body bytes, which are valid during the call.
	OnHostData(h *HostCall, p []byte, end bool)
	// OnHostWritable: what was written has drained after AboveHigh was true, or the
	// host takes more after WriteData took less than all.
	OnHostWritable(h *HostCall)
	// OnHostReset: the host has given the request up, or its connection is lost.
	OnHostReset(h *HostCall)
}

// HostCall is a request that a host makes to the client of a paired connection. It is
// embedded by value in what serves it, and may be used again when it has ended: with
// the end of the answer, of the request if that is OneWay, with OnHostReset or Cancel.
type HostCall struct {
	ev         HostCallEvents
	cn         *muxConn // nil: not under way
	next, prev *HostCall
	id         uint64
	oneWay     bool
	blocked    bool // the owner waits for OnHostWritable
}

// Init sets who is told.
func (h *HostCall) Init(ev HostCallEvents) { h.ev = ev }

// Active reports whether the HostCall is under way.
func (h *HostCall) Active() bool { return h.cn != nil }

// hostCalls are the requests of the host on a connection.
type hostCalls struct {
	table       idtable.Table[HostCall]
	first, last *HostCall
	held        bool // in Pair.held
}

// serveHost has the host's requests reported, if the connection is tied to a client
// and the protocol has that. It comes before the first byte.
func (cn *muxConn) serveHost() {
	if r, ok := cn.codec.(sdk.Reverser); ok && cn.pool.pair != nil {
		r.Reverse()
		cn.hosts = &hostCalls{}
	}
}

// inUse reports whether calls of either side are under way.
func (cn *muxConn) inUse() bool {
	return cn.calls.Len() > 0 || cn.hosts != nil && cn.hosts.table.Len() > 0
}

// fromHost takes an event that may belong to a request of the host.
func (cn *muxConn) fromHost(ev *sdk.Event) bool {
	if cn.hosts == nil {
		return false
	}
	h := cn.hosts.table.Get(ev.Stream)
	end := ev.End
	switch {
	case h == nil:
		if ev.Kind != sdk.EventHeaders || ev.Msg.Status() != 0 {
			return false
		}
		if h = cn.admitHost(ev); h == nil {
			return true
		}
		cn.endHost(h, end)
		h.ev.OnHostHeaders(h, ev.Msg, end)
	case ev.Kind == sdk.EventReset:
		cn.detachHost(h)
		h.ev.OnHostReset(h)
	case ev.Kind == sdk.EventData, ev.Kind == sdk.EventTrailers:
		end = end || ev.Kind == sdk.EventTrailers
		cn.endHost(h, end)
		h.ev.OnHostData(h, ev.Data, end)
	}
	if cn.state != connClosed && !cn.hosts.held && cn.pool.pair.owner.Full() {
		cn.hosts.held = true
		cn.pool.pair.held = append(cn.pool.pair.held, cn)
		cn.conn.ReadDisable(true)
	}
	return true
}

// admitHost begins a request of the host, or refuses it.
func (cn *muxConn) admitHost(ev *sdk.Event) *HostCall {
	var h *HostCall
	if cn.hosts.table.Len() < int(cn.pool.mux.MaxStreams) {
		h = cn.pool.pair.owner.NewHostCall()
	}
	if h == nil {
		cn.pool.lc.countStray()
		cn.resetHost(ev.Stream, sdk.ResetLocalRefused)
		return nil
	}
	cn.hosts.table.Put(ev.Stream, h) // the id is free: get has said so
	h.cn, h.id, h.oneWay, h.blocked = cn, ev.Stream, ev.Msg.OneWay, false
	h.next, h.prev = nil, cn.hosts.last
	if h.prev == nil {
		cn.hosts.first = h
	} else {
		h.prev.next = h
	}
	cn.hosts.last = h
	return h
}

// endHost ends a request that is complete and gets no answer.
func (cn *muxConn) endHost(h *HostCall, end bool) {
	if end && h.oneWay {
		cn.detachHost(h)
	}
}

func (cn *muxConn) detachHost(h *HostCall) {
	cn.unlinkHost(h)
	cn.hostVacant()
}

// hostVacant ends a connection that waited for the last call.
func (cn *muxConn) hostVacant() {
	if (cn.draining || cn.pool.draining) && cn.state != connClosed {
		cn.vacant()
	}
}

func (cn *muxConn) unlinkHost(h *HostCall) {
	cn.hosts.table.Remove(h.id)
	if h.prev == nil {
		cn.hosts.first = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		cn.hosts.last = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.next, h.prev, h.cn = nil, nil, nil
}

// letGo takes the connection, which ends, out of those that wait for the client.
func (cn *muxConn) letGo() {
	if h := cn.hosts; h != nil && h.held {
		h.held = false
		pr := cn.pool.pair
		pr.held = slices.DeleteFunc(pr.held, func(o *muxConn) bool { return o == cn })
	}
}

// loseHost ends the host's requests with its connection.
func (cn *muxConn) loseHost() {
	for cn.hosts != nil && cn.hosts.first != nil {
		h := cn.hosts.first
		cn.detachHost(h)
		h.ev.OnHostReset(h)
	}
}

// wakeHost tells the answers that wait for it that they may be written.
func (cn *muxConn) wakeHost() {
	if cn.hosts == nil {
		return
	}
	for h := cn.hosts.first; h != nil && h.cn != nil; {
		next := h.next
		cn.hostWritable(h)
		h = next
	}
}

func (cn *muxConn) hostWritable(h *HostCall) {
	if h.blocked {
		h.blocked = false
		h.ev.OnHostWritable(h)
	}
}

// resetHost gives up a request of the host. In the middle of an answer that may take
// the connection along.
func (cn *muxConn) resetHost(id uint64, reason sdk.ResetReason) {
	if cn.state == connClosed {
		return
	}
	if !cn.codec.WriteReset(cn.conn.Out(), id, reason) {
		cn.lose(false, ErrConnLost)
		return
	}
	cn.speakSoon()
}

// WriteHeaders writes the answer's head. An error means that the codec refuses the
// message and has written nothing.
func (h *HostCall) WriteHeaders(m *sdk.Message, end bool) error {
	cn := h.cn
	if cn == nil {
		return nil
	}
	if err := cn.codec.WriteHeaders(cn.conn.Out(), h.id, m, end); err != nil {
		return err
	}
	h.wrote(end)
	return nil
}

// WriteData writes bytes of the answer's body and returns how many were taken. When
// that is not all, OnHostWritable follows; end counts only when it is.
func (h *HostCall) WriteData(p []byte, end bool) int {
	cn := h.cn
	if cn == nil {
		return len(p)
	}
	n := cn.codec.WriteData(cn.conn.Out(), h.id, p, end)
	h.blocked = h.blocked || n < len(p)
	h.wrote(end && n == len(p))
	return n
}

func (h *HostCall) wrote(end bool) {
	cn := h.cn
	cn.wrote()
	cn.speakSoon()
	if end {
		cn.detachHost(h)
	}
}

// AboveHigh reports whether more is queued to the host than the cluster's buffer
// limit: the owner should stop its source until OnHostWritable.
func (h *HostCall) AboveHigh() bool {
	if h.cn == nil || !h.cn.conn.AboveHigh() {
		return false
	}
	h.blocked = true
	return true
}

// Cancel gives the request up, if it is under way; the host is told why as far as the
// protocol can.
func (h *HostCall) Cancel(reason sdk.ResetReason) {
	if cn := h.cn; cn != nil {
		cn.unlinkHost(h)
		cn.resetHost(h.id, reason)
		cn.hostVacant()
	}
}
