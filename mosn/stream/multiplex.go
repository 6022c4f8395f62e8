package stream

import (
	"sofamesh.io/sofamesh/mosn/idtable"
	"sofamesh.io/sofamesh/sdk"
)

// maxShared bounds the streams that one connection may have at a time, where the
// protocol has no such limit of its own: input beyond it waits.
const maxShared = 1024

// sharedConn is what a connection with a Multiplexed codec has beside a serial one.
type sharedConn struct {
	streams idtable.Table[Stream]
	each    []*Stream // scratch of eachStream, nil while it is in use
	away    int       // how often the client was told to open no further streams
	at      uint64    // the stream of the event that is being handled
	pulse   pulse
}

func (d *serverConn) share() {
	d.shared = &sharedConn{}
	d.keepAlive()
}

// keep takes a new stream into the connection.
func (d *serverConn) keep(id uint64, s *Stream) {
	if d.shared == nil {
		d.cur = s
		return
	}
	d.shared.streams.Put(id, s)
}

// forget lets go of a stream that has ended.
func (d *serverConn) forget(s *Stream) {
	switch {
	case d.shared != nil && d.shared.streams.Get(s.id) == s:
		d.shared.streams.Remove(s.id)
	case d.cur == s:
		d.cur = nil
	}
}

// stream returns the stream that an event is for, nil when it has ended.
func (d *serverConn) stream(id uint64) *Stream {
	if d.shared == nil {
		return d.cur
	}
	return d.shared.streams.Get(id)
}

// active reports whether the connection has streams, or requests of hosts.
func (d *serverConn) active() bool { return d.count() > 0 || d.ties.count() > 0 }

// full reports whether the connection has as many streams as it may. A protocol with
// flow control refuses streams by itself, and must never be kept from reading the
// windows on which those that there are may wait.
func (d *serverConn) full() bool {
	return d.shared != nil && !d.flow && d.shared.streams.Len() >= maxShared
}

// eachStream calls f for every stream; f may end it, and others.
func (d *serverConn) eachStream(f func(*Stream)) {
	if d.shared == nil {
		if d.cur != nil {
			f(d.cur)
		}
		return
	}
	sh := d.shared
	list := sh.streams.Append(sh.each)
	sh.each = nil
	for _, s := range list {
		if sh.streams.Get(s.id) == s { // f may have ended others, too
			f(s)
		}
	}
	clear(list)
	sh.each = list[:0]
}

// endStreams calls f, which ends a stream, for every stream, also when a filter that
// is told of the end panics.
func (d *serverConn) endStreams(f func(*Stream)) {
	before := d.count()
	defer func() {
		if n := d.count(); n > 0 && n < before {
			d.endStreams(f)
		}
	}()
	d.eachStream(f)
}

func (d *serverConn) count() int {
	switch {
	case d.shared != nil:
		return d.shared.streams.Len()
	case d.cur != nil:
		return 1
	}
	return 0
}

// closeAfter makes the response under way the connection's last, where the rest of
// its request would stand in the way of the next. Other streams of a shared
// connection have nothing to do with that.
func (d *serverConn) closeAfter() {
	if d.shared == nil {
		d.lastOne = true
	}
}

// cut tells the client that a stream is broken off: by the protocol, else by closing
// the connection.
func (d *serverConn) cut(id uint64) {
	if d.shared != nil && !d.c.Closed() && d.writeReset(id, sdk.ResetLocal) {
		d.sharedReleased()
		return
	}
	d.closing = true
	d.finish()
}

// sharedMalformed refuses one request, or gives up the connection with all that is
// on it.
func (d *serverConn) sharedMalformed(ce *sdk.CodecError, ev *sdk.Event) (goOn bool) {
	if ce.Stream {
		d.refuseOne(ce, ev.Stream, ev.Msg)
		return true
	}
	d.closing = true
	defer d.finish() // also when a filter panics
	if ev != nil && ev.Stream != 0 && ev.Msg.Protocol != sdk.ProtocolUnknown && d.stream(ev.Stream) == nil {
		d.unreadable(ev.Stream, ev.Msg)
	}
	d.lost()
	d.endStreams(func(s *Stream) {
		s.info.Details = ce.Details
		s.end(sdk.FlagDownstreamProtocolError)
	})
	return false
}

// unreadable makes a stream of a request whose head costs the connection, so that it
// is counted and logged. Nothing that it says can be trusted.
func (d *serverConn) unreadable(id uint64, m *sdk.Message) {
	protocol, codec := m.Protocol, m.Codec
	m.Reset()
	m.Protocol, m.Codec = protocol, codec
	s := d.w.acquire()
	d.keep(id, s)
	s.attach(d, id, m)
	s.countRequest()
}

func (d *serverConn) refuseOne(ce *sdk.CodecError, id uint64, m *sdk.Message) {
	if s := d.stream(id); s != nil {
		s.requestBroken(ce)
		return
	}
	if m.OneWay {
		return // nobody waits for an answer
	}
	s := d.w.acquire()
	d.keep(id, s)
	s.refuse(d, id, m, ce)
}

// sharedReleased goes on after the end of a stream.
func (d *serverConn) sharedReleased() {
	switch {
	case d.c.Closed():
	case (d.closing || d.ties.isLost()) && !d.active():
		d.closing = true
		d.finish()
	case d.lastOne && !d.active() && !d.codec.Reusable():
		d.drained()
	case d.stalled:
		d.stalled = false
		d.c.Resume()
	}
}

// maxLate is how much of a shared connection's input is dropped after its end, in bytes:
// what was on the way, not what a flood goes on with.
const maxLate = 64 << 10

// finish closes the connection, after its codec's last words. What the client sends
// meanwhile must not make the system drop what it has yet to receive.
func (d *serverConn) finish() {
	d.timer.Stop()
	if d.speech != nil && !d.c.Closed() {
		d.speech.talker.Flush(d.c.Out())
	}
	limit := 0
	if d.shared != nil {
		limit = maxLate
	}
	if t := d.cfg.DelayedCloseTimeout; t > 0 && d.c.Queued() > 0 {
		d.c.CloseDelayed(t, limit)
	} else {
		d.c.CloseFlush(0) // nobody would end the wait for the client
	}
}

// goAway tells the client to open no further streams: by a notice, and in the end that
// those which it has opened are the last.
func (d *serverConn) goAway() {
	if d.shared == nil || d.shared.away == 2 || d.c.Closed() {
		return
	}
	d.shared.away++
	d.codec.WriteGoAway(d.c.Out())
	if h2 := d.counted.http2; h2 != nil {
		d.w.stats.Inc(h2.GoAwaySent)
	}
	d.wrote()
}

// wrote notes that the codec may have something to say by itself: answers to
// heartbeats, and the news that a stream which had to wait may go on. It gets its say
// when the callback under way is over, not from within it.
func (d *serverConn) wrote() {
	if d.speech == nil || d.speech.queued || !d.speech.talker.Pending() {
		return
	}
	d.speech.queued = true
	d.speech.next, d.w.talkers = d.w.talkers, d
}

// talk lets the codec speak. What it says may let streams write, which may give it more
// to say: then there is another round.
func (d *serverConn) talk() {
	d.speech.queued = false
	if d.c.Closed() || d.closing {
		return
	}
	d.speech.talker.Flush(d.c.Out())
	if d.c.AboveHigh() {
		return // OnDrained comes back to it
	}
	for done := false; !done; {
		_, done = d.decode(nil)
	}
	d.wrote()
}

// interrupted ends the stream whose event has made a filter panic; the others of the
// connection go on, unless it was the codec, which would come to the same bytes again.
func (d *serverConn) interrupted() {
	if r := recover(); r != nil {
		defer d.w.loop.Recovered() // logs it
		if d.decoding {
			d.closing = true
			d.c.Close()
		} else if s := d.stream(d.shared.at); s != nil {
			s.panicked()
		}
		panic(r)
	}
}

// pause stops or resumes the reading of a request: of its stream where the protocol
// can, else of the connection.
func (d *serverConn) pause(s *Stream, on bool) {
	switch {
	case !d.flow:
		d.readDisable(on)
	case !on:
		n := s.unread
		s.unread = 0
		d.consumed(s.id, n)
	}
}

// readDisable stops or resumes the reading of the connection; calls nest. A client that
// leaves meanwhile is noticed.
func (d *serverConn) readDisable(on bool) {
	d.c.ReadDisable(on)
	d.c.DetectEarlyClose(d.c.ReadDisabled())
}

// arrived opens the window of a stream, nil if it has ended, again by the n bytes of
// body that have come, unless its reading is stopped.
func (d *serverConn) arrived(s *Stream, id uint64, n int) {
	if s != nil && s.pausedClient && d.stream(id) == s {
		s.unread += n
		return
	}
	d.consumed(id, n)
}

func (d *serverConn) consumed(id uint64, n int) {
	if n > 0 && !d.c.Closed() {
		d.codec.Consumed(d.c.Out(), id, n)
		d.wrote()
	}
}

// The writing of a response. To a one-way request nothing is ever written: there is
// nobody who would know what it answers.

func (d *serverConn) writeHeaders(s *Stream, m *sdk.Message, end bool) error {
	if s.req.OneWay {
		return nil
	}
	out := d.c.Out()
	before := out.Len()
	err := d.codec.WriteHeaders(out, s.id, m, end)
	s.info.DownstreamWire.Sent += uint64(out.Len() - before)
	d.wrote()
	return err
}

func (d *serverConn) writeData(s *Stream, p []byte, end bool) int {
	if s.req.OneWay {
		return len(p)
	}
	out := d.c.Out()
	before := out.Len()
	n := d.codec.WriteData(out, s.id, p, end)
	s.info.DownstreamWire.Sent += uint64(out.Len() - before)
	d.wrote()
	return n
}

func (d *serverConn) writeTrailers(s *Stream, m *sdk.Message) {
	if !s.req.OneWay {
		out := d.c.Out()
		before := out.Len()
		d.codec.WriteTrailers(out, s.id, m)
		s.info.DownstreamWire.Sent += uint64(out.Len() - before)
		d.wrote()
	}
}

func (d *serverConn) writeReset(id uint64, r sdk.ResetReason) bool {
	ok := d.codec.WriteReset(d.c.Out(), id, r)
	if h2 := d.counted.http2; ok && h2 != nil {
		d.w.stats.Inc(h2.TxReset)
	}
	d.wrote()
	return ok
}
