package http1

import "sofamesh.io/sofamesh/sdk"

// server is the downstream end of a connection: it reads requests and writes
// responses, one exchange after the other.
type server struct {
	decoder
	encoder
	goAway  bool // no further request is welcome
	close   bool // the connection ends with this exchange
	http10  bool // the peer speaks HTTP/1.0
	head    bool // the request is a HEAD
	connect bool
	upgrade bool // what follows the request is opaque, if we agree
	replied bool // the final head of the response is written
}

// Decode implements sdk.CodecConn.
func (s *server) Decode(in []byte, ev *sdk.Event) (int, error) {
	begin(ev)
	if s.state == inHead {
		n, err := s.decodeHead(in, ev)
		if err != nil {
			ev.Kind = sdk.EventNone
			s.fail()
		}
		return n, err
	}
	n, err := s.body(in, ev)
	if err != nil {
		s.fail()
	} else if ev.End && s.written {
		s.next()
	}
	return n, err
}

// decodeHead skips empty lines and reads the head that follows.
func (s *server) decodeHead(in []byte, ev *sdk.Event) (int, error) {
	skip := 0
	for skip < len(in) && (in[skip] == '\r' || in[skip] == '\n') {
		skip++
	}
	p := in[skip:]
	switch {
	case len(p) == 0:
		return skip, nil
	case p[0] <= ' ': // no method begins so, but a TLS handshake does
		return skip, errMethod
	case s.seen > 0 && !s.ready(p):
		return skip, s.wait(p)
	}
	n, err := s.readHead(s.limit(p), ev)
	if n == 0 && err == nil {
		err = s.wait(p)
	}
	return skip + n, err
}

// fail stops reading for good; what is left to do is to answer.
func (s *server) fail() { s.state, s.close = closed, true }

// readHead reads a whole head from p; it returns 0 when it is not all there.
func (s *server) readHead(p []byte, ev *sdk.Event) (int, error) {
	n, err := s.parseHead(s.load(p, headGuess, ev.Msg), ev)
	if n == 0 && err == nil && len(p) > headGuess {
		n, err = s.parseHead(s.load(p, s.cfg.maxBytes, ev.Msg), ev)
	}
	return n, err
}

func (s *server) parseHead(l lines, ev *sdk.Event) (int, error) {
	var line requestLine
	at, err := line.parse(s.cfg, l.p)
	if at == 0 {
		return 0, err
	}
	m := l.m
	if line.version == v09 {
		l.m = nil // it knows no headers: what stands there is not looked at, as with Envoy
	}
	end, err := l.read(at)
	if err != nil {
		return 0, fieldError(l.p, at, err)
	}
	if end == 0 {
		return 0, nil
	}
	s.http10 = s.cfg.http10 && line.version != v11
	if err := s.cfg.request(&line, &l.f, m); err != nil {
		return 0, err
	}
	s.accept(&line, &l.f, ev)
	return end, nil
}

// accept begins the exchange of a request that is fine.
func (s *server) accept(l *requestLine, f *framing, ev *sdk.Event) {
	m := ev.Msg
	m.Codec = s.cfg.codec
	s.stream++
	s.close = m.Close
	s.head = string(l.method) == "HEAD"
	s.connect = l.connect
	s.upgrade = m.Upgrade
	s.replied, s.written = false, false
	ev.Kind, ev.Stream = sdk.EventHeaders, s.stream
	if m.Upgrade {
		s.seen, s.lined, s.state = 0, false, opaque
		return
	}
	ev.End = s.framed(f)
}

// EOF implements sdk.CodecConn.
func (s *server) EOF(ev *sdk.Event) error {
	begin(ev)
	return s.eof(ev)
}

// NewStream implements sdk.CodecConn; a downstream codec opens none.
func (s *server) NewStream() uint64 { return 0 }

// WriteHeaders implements sdk.CodecConn. The status line has the version of the
// request; connection: close is written when either side ends the connection,
// and when an upgrade was not granted.
func (s *server) WriteHeaders(out *sdk.Buffer, _ uint64, m *sdk.Message, end bool) error {
	status := m.Status()
	if s.replied || status < 100 {
		return errWriteOrder
	}
	if status < 200 && status != 101 {
		return s.writeHead(out, m, informational, "")
	}
	granted := s.upgrade && !s.connect && status == 101 || s.connect && status >= 200 && status < 300
	mode, length, err := s.responseMode(m, status, end, granted)
	if err != nil {
		return err
	}
	if s.goAway || m.Close || s.upgrade && !granted || mode == untilEnd && !granted {
		s.close = true
	}
	connection := ""
	switch {
	case granted:
	case s.close || s.state == closed:
		connection = "close"
	case s.http10:
		connection = "keep-alive"
	}
	if err := s.writeHead(out, m, mode, connection); err != nil {
		return err
	}
	s.replied = true
	s.start(mode, length)
	if end && !granted {
		s.ended()
	}
	return nil
}

// responseMode chooses the framing of a response, as Envoy does.
func (s *server) responseMode(m *sdk.Message, status int, end, granted bool) (mode, uint64, error) {
	length, has, err := contentLength(&m.Headers)
	switch {
	case err != nil:
		return 0, 0, err
	case granted:
		return untilEnd, 0, nil
	case status < 200 || status == 204:
		return noBodyNoLength, 0, nil
	case s.head && !has && !s.http10:
		return headOfChunks, 0, nil
	case s.head || status == 304:
		return noBody, 0, nil
	case has:
		return byLength, length, nil
	case end:
		return emptyBody, 0, nil
	case s.http10:
		return untilEnd, 0, nil
	}
	return inChunked, 0, nil
}

func (s *server) writeHead(out *sdk.Buffer, m *sdk.Message, md mode, connection string) error {
	w, err := newHeadWriter(out, &m.Headers)
	if err != nil {
		return err
	}
	status := m.Status()
	if status == 200 && !s.http10 {
		w.text("HTTP/1.1 200 OK\r\n")
	} else {
		w.text("HTTP/1.")
		if s.http10 {
			w.text("0 ")
		} else {
			w.text("1 ")
		}
		w.text(m.ID(sdk.HeaderStatus))
		w.text(" ")
		w.text(reason(status))
		w.text("\r\n")
	}
	if err := w.fields(s.cfg, &m.Headers, md.dropsLength(), connection != ""); err != nil {
		w.abort()
		return err
	}
	w.finish(s.cfg, md, connection)
	return nil
}

// WriteData implements sdk.CodecConn.
func (s *server) WriteData(out *sdk.Buffer, _ uint64, p []byte, end bool) int {
	s.writeData(out, p, end)
	if end {
		s.ended()
	}
	return len(p)
}

// WriteTrailers implements sdk.CodecConn.
func (s *server) WriteTrailers(out *sdk.Buffer, _ uint64, m *sdk.Message) {
	s.writeTrailers(s.cfg, out, m)
	s.ended()
}

// ended is called when the response is written.
func (s *server) ended() {
	s.written = true
	if s.short() {
		s.close = true
	}
	if s.close {
		s.state = closed
	} else if s.state == done {
		s.next()
	}
}

// next makes ready for the next request.
func (s *server) next() {
	s.state = inHead
	if s.close {
		s.state = closed
	}
	s.http10, s.head, s.connect, s.upgrade = false, false, false, false
	s.replied, s.written = false, false
}

// WriteReset implements sdk.CodecConn: only closing can tell it.
func (s *server) WriteReset(*sdk.Buffer, uint64, sdk.ResetReason) bool { return false }

// Consumed implements sdk.CodecConn; there is no flow control but TCP's.
func (s *server) Consumed(*sdk.Buffer, uint64, int) {}

// WriteGoAway implements sdk.CodecConn: the next response carries close.
func (s *server) WriteGoAway(*sdk.Buffer) { s.goAway = true }

// Reusable implements sdk.CodecConn.
func (s *server) Reusable() bool { return s.state == inHead && !s.close && !s.goAway }
