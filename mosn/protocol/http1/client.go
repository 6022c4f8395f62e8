package http1

import "sofamesh.io/sofamesh/sdk"

// client is the upstream end of a connection: it writes requests and reads
// responses, one exchange after the other.
type client struct {
	decoder
	encoder
	close   bool // the connection ends with this exchange
	head    bool // the request is a HEAD
	connect bool
	upgrade bool
	sent    bool // the request is written, to its end
}

// NewStream implements sdk.CodecConn.
func (c *client) NewStream() uint64 {
	c.stream++
	return c.stream
}

// Decode implements sdk.CodecConn.
func (c *client) Decode(in []byte, ev *sdk.Event) (int, error) {
	begin(ev)
	n, err := c.decode(in, ev)
	if err != nil {
		ev.Kind = sdk.EventNone
		c.state, c.close = closed, true
	}
	return n, err
}

func (c *client) decode(in []byte, ev *sdk.Event) (int, error) {
	switch {
	case c.state == done && len(in) > 0:
		return 0, errUnsolicited
	case c.state != inHead:
		return c.body(in, ev)
	case len(in) == 0:
		return 0, nil
	case in[0] != 'H':
		return 0, errStatusLine
	case c.seen > 0 && !c.ready(in):
		return 0, c.wait(in)
	}
	n, err := c.readHead(c.limit(in), ev)
	if n == 0 && err == nil {
		err = c.wait(in)
	}
	return n, err
}

// readHead reads a whole head from p; it returns 0 when it is not all there.
func (c *client) readHead(p []byte, ev *sdk.Event) (int, error) {
	n, err := c.parseHead(c.load(p, headGuess, ev.Msg), ev)
	if n == 0 && err == nil && len(p) > headGuess {
		n, err = c.parseHead(c.load(p, c.cfg.maxBytes, ev.Msg), ev)
	}
	return n, err
}

func (c *client) parseHead(l lines, ev *sdk.Event) (int, error) {
	var line statusLine
	at, err := line.parse(l.p)
	if at == 0 {
		return 0, err
	}
	end, err := l.read(at)
	if err != nil {
		return 0, fieldError(l.p, at, err)
	}
	if end == 0 {
		return 0, nil
	}
	m := l.m
	if err := c.cfg.response(&line, &l.f, m); err != nil {
		return 0, err
	}
	m.Codec = c.cfg.codec
	ev.Kind, ev.Stream = sdk.EventHeaders, c.stream
	c.seen, c.lined = 0, false
	if line.code < 200 && line.code != 101 {
		ev.Kind = sdk.EventInformational
		m.Close = false
		return end, nil
	}
	c.accept(&line, &l.f, ev)
	return end, nil
}

// accept settles what follows the final head of a response (RFC 9112, 6.3).
func (c *client) accept(l *statusLine, f *framing, ev *sdk.Event) {
	m := ev.Msg
	switch {
	case l.code == 101 && c.upgrade && !c.connect && asksUpgrade(&m.Headers), c.connect && l.code < 300 && l.code > 199:
		m.Upgrade, c.close, c.state = true, true, opaque
		m.RemoveID(sdk.HeaderContentLength)
	case c.head || l.code < 200 || l.code == 204 || l.code == 304:
		c.state, ev.End = done, true
	case f.coding == notCoded && !f.hasLength:
		c.state, m.Close = untilClose, true
	default:
		ev.End = c.framed(f)
	}
	if m.Close || l.code == 101 || c.upgrade {
		c.close = true
	}
}

// EOF implements sdk.CodecConn.
func (c *client) EOF(ev *sdk.Event) error {
	begin(ev)
	c.close = true
	if c.state == inHead {
		c.state = closed
		return errHeadCutOff
	}
	return c.eof(ev)
}

// WriteHeaders implements sdk.CodecConn. The host comes first, then the other
// fields in their order, then what frames the body.
func (c *client) WriteHeaders(out *sdk.Buffer, _ uint64, m *sdk.Message, end bool) error {
	if c.state != done || !c.sent || c.close {
		return errWriteOrder
	}
	method := m.Method()
	connect := method == "CONNECT"
	if err := checkRequest(m, connect); err != nil {
		return err
	}
	length, has, err := contentLength(&m.Headers)
	if err != nil {
		return err
	}
	c.head, c.connect = method == "HEAD", connect
	c.upgrade = connect || m.Upgrade
	md := requestMode(method, c.upgrade, has, end)
	if err := c.writeHead(out, m, md); err != nil {
		return err
	}
	c.close = m.Close
	c.start(md, length)
	c.state, c.sent = inHead, end && !c.upgrade
	return nil
}

// requestMode chooses the framing of a request, as Envoy does: methods that
// expect no body get no content-length: 0.
func requestMode(method string, upgrade, hasLength, end bool) mode {
	switch {
	case upgrade:
		return untilEnd
	case hasLength:
		return byLength
	case !end:
		return inChunked
	}
	switch method {
	case "GET", "HEAD", "DELETE", "TRACE":
		return noBody
	}
	return emptyBody
}

func (c *client) writeHead(out *sdk.Buffer, m *sdk.Message, md mode) error {
	w, err := newHeadWriter(out, &m.Headers)
	if err != nil {
		return err
	}
	connection := ""
	if m.Close {
		connection = "close"
	}
	authority := m.Authority()
	w.text(m.Method())
	w.text(" ")
	switch {
	case c.connect:
		w.text(authority)
	case c.cfg.fullURL && m.Scheme() != "":
		w.text(m.Scheme())
		w.text("://")
		w.text(authority)
		w.text(m.Path())
	default:
		w.text(m.Path())
	}
	w.text(" HTTP/1.1\r\n")
	if i := m.Find(":authority", 0); i >= 0 {
		if m.HasOriginalAt(i) {
			w.field(m.OriginalNameAt(i), authority, false)
		} else {
			w.field("host", authority, c.cfg.proper())
		}
	}
	if err := w.fields(c.cfg, &m.Headers, false, connection != ""); err != nil {
		w.abort()
		return err
	}
	w.finish(c.cfg, md, connection)
	return nil
}

// WriteData implements sdk.CodecConn.
func (c *client) WriteData(out *sdk.Buffer, _ uint64, p []byte, end bool) int {
	c.writeData(out, p, end)
	if end {
		c.ended()
	}
	return len(p)
}

// WriteTrailers implements sdk.CodecConn.
func (c *client) WriteTrailers(out *sdk.Buffer, _ uint64, m *sdk.Message) {
	c.writeTrailers(c.cfg, out, m)
	c.ended()
}

// ended is called when the request is written.
func (c *client) ended() {
	c.sent = true
	if c.short() {
		c.close = true
	}
}

// WriteReset implements sdk.CodecConn: only closing can tell it.
func (c *client) WriteReset(*sdk.Buffer, uint64, sdk.ResetReason) bool { return false }

// Consumed implements sdk.CodecConn; there is no flow control but TCP's.
func (c *client) Consumed(*sdk.Buffer, uint64, int) {}

// WriteGoAway implements sdk.CodecConn; a client just closes.
func (c *client) WriteGoAway(*sdk.Buffer) {}

// Reusable implements sdk.CodecConn.
func (c *client) Reusable() bool { return c.state == done && c.sent && !c.close }
