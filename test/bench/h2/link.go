//go:build linux

package h2

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/mosn/protocol/http2/hpack"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// BufferBytes is the size of the buffer to read into, one for all links of a loop: it holds nothing between events.
const BufferBytes = 128 << 10

const maxOut = 8 << 20 // bytes that may wait for a socket, or for a window

// Handler is told what comes on the streams of a Link. False ends the link.
type Handler interface {
	// Headers has a header block in Link.Head.
	Headers(id uint32, end bool) bool
	Data(id uint32, p []byte, end bool) bool
	Reset(id uint32)
	// Room is the window of a stream that sends for long; nil for all others.
	Room(id uint32) *int
	// Shift changes the windows of all streams.
	Shift(by int)
}

// Link is one connection. What is to be sent is gathered in Out while the events of a turn are handled; Flush writes it with one call.
type Link struct {
	FD   int
	Out  []byte
	Head sdk.Headers // the block that came last

	handler Handler
	server  bool // our part
	greeted bool // the client's preface has come
	full    bool // the socket took less than it was given, or is not connected yet
	rest    []byte
	dec     hpack.Decoder
	enc     encoder
	room    int // the connection's window for our DATA
	initial int // a new stream's
	came    int // bytes for which the window was not opened again
	held    []held
	holding int // bytes in held
}

// held is what waits for a window, and after it whatever else is sent: order is kept.
type held struct {
	bytes []byte
	data  int
	room  *int
}

// Dialed begins the link of a connection that is being made.
func (l *Link) Dialed(fd int, h Handler) {
	l.begin(fd, h)
	l.full, l.greeted = true, true
	l.Out = append(l.Out, preface...)
	l.settings(settingPush)
}

// Accepted begins the link of a connection that stands.
func (l *Link) Accepted(fd int, h Handler) {
	l.begin(fd, h)
	l.server = true
	l.settings(0)
}

func (l *Link) begin(fd int, h Handler) {
	*l = Link{FD: fd, handler: h, Out: l.Out[:0], rest: l.rest[:0], Head: l.Head, room: firstWindow, initial: firstWindow}
	l.dec.Init(hpack.DefaultTableSize)
}

// settings says what we want: windows that nobody has to wait for; and as a client, nothing unasked for.
func (l *Link) settings(zero uint16) {
	var p []byte
	if zero != 0 {
		p = appendSetting(p, zero, 0)
	}
	p = appendSetting(p, settingWindow, ourWindow)
	l.Out = append(appendHead(l.Out, len(p), frameSettings, 0, 0), p...)
	l.Out = appendWindow(l.Out, 0, ourWindow)
}

// Writable has Flush try again.
func (l *Link) Writable() { l.full = false }

// Window is what a new stream may send.
func (l *Link) Window() int { return l.initial }

// Receive reads until the socket is drained and hands on what came. It gives false when the link has ended, failed, sent what is no
// HTTP/2 or what the handler does not like, or goes away.
func (l *Link) Receive(events uint32, buf []byte) bool {
	for {
		kept := copy(buf, l.rest)
		n, errno := rawsock.Recv(l.FD, buf[kept:])
		if errno == unix.EAGAIN {
			return true
		}
		if errno != 0 || n == 0 {
			return false
		}
		rest, ok := l.each(buf[:kept+n])
		if !ok {
			return false
		}
		l.rest = append(l.rest[:0], rest...)
		if kept+n < len(buf) && events&rawsock.Ended == 0 {
			return true // a short read is a drained socket
		}
	}
}

// each takes the whole frames in data and gives what is left.
func (l *Link) each(data []byte) (rest []byte, ok bool) {
	if !l.greeted {
		if len(data) < len(preface) {
			return data, true
		}
		if string(data[:len(preface)]) != preface {
			return nil, false
		}
		l.greeted, data = true, data[len(preface):]
	}
	for {
		f, size, ok := cut(data)
		if !ok || size > 0 && !l.take(f) {
			return nil, false
		}
		if size == 0 {
			return data, true
		}
		data = data[size:]
	}
}

func (l *Link) take(f frame) bool {
	switch f.kind {
	case frameHeaders:
		return l.headers(f)
	case frameData:
		l.arrived(len(f.payload))
		p, ok := f.content()
		return ok && l.handler.Data(f.stream, p, f.flags&flagEnd != 0)
	case frameReset:
		l.handler.Reset(f.stream)
	case frameSettings:
		return l.configure(f)
	case framePing:
		if f.flags&flagAck == 0 {
			l.Out = append(appendHead(l.Out, len(f.payload), framePing, flagAck, 0), f.payload...)
		}
	case frameWindowUpdate:
		return l.open(f)
	case framePush, frameGoAway, frameContinuation: // nobody here has a reason for them
		return false
	}
	return true
}

// headers reads a block. All are small: none goes on in another frame.
func (l *Link) headers(f frame) bool {
	p, ok := f.content()
	if !ok || f.flags&flagWhole == 0 {
		return false
	}
	l.Head.Reset()
	l.dec.Begin(p)
	for {
		var field hpack.Field
		more, err := l.dec.Next(&l.Head, &field, false)
		if err != nil || field.Invalid {
			return false
		}
		if !more {
			return l.handler.Headers(f.stream, f.flags&flagEnd != 0)
		}
		l.Head.AddLine(field.ID, field.Name, field.Value, field.Sensitive)
	}
}

// arrived opens the connection's window again, seldom.
func (l *Link) arrived(n int) {
	if l.came += n; l.came >= giveBack {
		l.Out = appendWindow(l.Out, 0, uint32(l.came))
		l.came = 0
	}
}

// configure takes the peer's settings.
func (l *Link) configure(f frame) bool {
	if f.flags&flagAck != 0 {
		return true
	}
	for p := f.payload; len(p) >= 6; p = p[6:] {
		switch value := int(binary.BigEndian.Uint32(p[2:])); binary.BigEndian.Uint16(p) {
		case settingTableSize:
			if value < hpack.DefaultTableSize {
				l.enc.forget() // nginx, to its backends
			}
		case settingWindow:
			l.handler.Shift(value - l.initial)
			l.initial = value
		}
	}
	l.Out = appendHead(l.Out, 0, frameSettings, flagAck, 0)
	l.release()
	return true
}

// open takes a WINDOW_UPDATE.
func (l *Link) open(f frame) bool {
	if len(f.payload) != 4 {
		return false
	}
	room := &l.room
	if f.stream != 0 {
		room = l.handler.Room(f.stream)
	}
	if room != nil {
		*room += int(binary.BigEndian.Uint32(f.payload))
		l.release()
	}
	return true
}

// appendHeaders writes a HEADERS frame to Out.
func (l *Link) appendHeaders(id uint32, b block, end bool) {
	at := l.beginHeaders(id, end)
	l.Out = l.enc.append(l.Out, b)
	l.endHeaders(at)
}

// beginHeaders and endHeaders write the head of a HEADERS frame before and after its block.
func (l *Link) beginHeaders(id uint32, end bool) (at int) {
	at = len(l.Out)
	flags := byte(flagWhole)
	if end {
		flags |= flagEnd
	}
	l.Out = appendHead(l.Out, 0, frameHeaders, flags, id)
	return at
}

func (l *Link) endHeaders(at int) {
	n := len(l.Out) - at - headBytes
	l.Out[at+1], l.Out[at+2] = byte(n>>8), byte(n)
}

func (l *Link) appendData(id uint32, m *Message, mark Mark, end bool) {
	var flags byte
	if end {
		flags = flagEnd
	}
	l.Out = m.Append(appendHead(l.Out, m.Size(), frameData, flags, id), mark)
}

// Ask writes the head of a request of kind k, and all of it unless it is a Stream. One message fits into the first window of a stream;
// a peer for which it does not will say so.
func (l *Link) Ask(k Kind, id uint32, m *Message, mark Mark) {
	at, data := len(l.Out), 0
	switch k {
	case Get:
		h := l.beginHeaders(id, true)
		l.Out = appendPath(l.enc.begin(l.Out), mark)
		l.Out = l.enc.append(l.Out, getBlock)
		l.endHeaders(h)
	case Unary:
		l.appendHeaders(id, unaryBlock, false)
		l.appendData(id, m, mark, true)
		data = m.Size()
	default:
		l.appendHeaders(id, streamBlock, false)
	}
	l.charge(at, data, nil)
}

// Say writes a message on a stream that goes on, and takes its size from room.
func (l *Link) Say(id uint32, m *Message, mark Mark, room *int) {
	at := len(l.Out)
	l.appendData(id, m, mark, false)
	l.charge(at, m.Size(), room)
}

// End writes the end of a stream.
func (l *Link) End(id uint32) {
	at := len(l.Out)
	l.Out = appendHead(l.Out, 0, frameData, flagEnd, id)
	l.charge(at, 0, nil)
}

// Cancel ends a stream of which nothing more is wanted.
func (l *Link) Cancel(id uint32) {
	const cancel = 8
	l.Out = binary.BigEndian.AppendUint32(appendHead(l.Out, 4, frameReset, 0, id), cancel)
}

// charge takes data from the windows for what was written to Out from at on, or holds it back until they have room.
func (l *Link) charge(at, data int, room *int) {
	if h := (held{data: data, room: room}); len(l.held) > 0 || !l.fits(h) {
		h.bytes = append(h.bytes, l.Out[at:]...)
		l.Out = l.Out[:at]
		l.held = append(l.held, h)
		l.holding += len(h.bytes)
	}
}

// fits takes what h needs of the windows, if they have it.
func (l *Link) fits(h held) bool {
	if h.data > 0 && (h.data > l.room || h.room != nil && h.data > *h.room) {
		return false
	}
	l.room -= h.data
	if h.room != nil {
		*h.room -= h.data
	}
	return true
}

// release sends what was held back, as far as the windows allow.
func (l *Link) release() {
	for len(l.held) > 0 && l.fits(l.held[0]) {
		l.Out = append(l.Out, l.held[0].bytes...)
		l.holding -= len(l.held[0].bytes)
		l.held = l.held[1:]
	}
}

// Flush writes Out as far as the socket takes it; what it does not take waits. False: the link is dead, or too much waits.
func (l *Link) Flush() bool {
	if l.full || len(l.Out) == 0 {
		return len(l.Out)+l.holding <= maxOut
	}
	n, errno := rawsock.Send(l.FD, l.Out)
	if errno != 0 && errno != unix.EAGAIN {
		return false
	}
	l.full = n < len(l.Out)
	l.Out = append(l.Out[:0], l.Out[n:]...)
	return true
}
