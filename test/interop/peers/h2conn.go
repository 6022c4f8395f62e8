package peers

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Conn is one side of an HTTP/2 connection whose received frames are collected by a goroutine of its own, which ends with the connection.
// It acknowledges SETTINGS and PING and, unless manual, gives back what DATA took from the windows.
type h2Conn struct {
	conn net.Conn
	act  *Activity

	wmu sync.Mutex // for writes
	buf *bufio.Writer
	out *frameWriter

	mu      sync.Mutex
	wake    sync.Cond
	manual  bool
	streams map[uint32]*h2Stream
	order   []*h2Stream // by arrival of the first frame
	goaway  []string
	pings   int
	given   uint32 // to the connection's window
	broken  string // why what came is no HTTP/2
	end     end

	resetText string          // what a report says before the code of RST_STREAM
	opened    func(*h2Stream) // with mu held: the first header block of a stream is here
}

// h2Stream is one stream as it arrived. Guarded by its connection's lock.
type h2Stream struct {
	id      uint32
	blocks  []h2Block
	ended   bool
	reset   string // how RST_STREAM reads in a report
	sentRST bool
}

// h2Block is a header block with the data that came after it.
type h2Block struct {
	fields []Header
	data   []byte
}

func newH2Conn(conn net.Conn, act *Activity) *h2Conn {
	c := &h2Conn{conn: conn, act: act, streams: map[uint32]*h2Stream{}}
	c.wake.L = &c.mu
	c.buf = bufio.NewWriterSize(conn, 256<<10)
	c.out = newFrameWriter(http2.NewFramer(c.buf, nil))
	return c
}

// write prepares a frame of a script on the stream, unless the frame names another one. It goes out with the next flush.
func (c *h2Conn) write(f Frame, stream uint32) {
	if f.Stream == 0 && !f.Conn {
		f.Stream = stream
	}
	if f.Type == http2.FrameRSTStream {
		c.mu.Lock()
		if s := c.streams[f.Stream]; s != nil {
			s.sentRST = true
		}
		c.mu.Unlock()
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.out.write(&f)
}

func (c *h2Conn) writeRaw(p []byte) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, _ = c.buf.Write(p)
}

// flush sends what was written: neighbouring frames of a script go out in one write.
func (c *h2Conn) flush() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_ = c.buf.Flush() // an error shows as the end of the connection
}

// collect reads frames until the connection ends.
func (c *h2Conn) collect() {
	in := http2.NewFramer(nil, c.conn)
	in.AllowIllegalReads = true
	in.SetMaxReadFrameSize(16 << 10) // no more was allowed
	fields := hpack.NewDecoder(4096, nil)
	var block []byte // of HEADERS without END_HEADERS
	var endsToo bool
	for {
		f, err := in.ReadFrame()
		c.act.Touch()
		if err != nil {
			c.finish(err)
			_ = c.conn.Close()
			return
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			block, endsToo = slices.Clone(f.HeaderBlockFragment()), f.StreamEnded()
			if f.HeadersEnded() {
				c.gotBlock(fields, f.StreamID, block, endsToo)
			}
		case *http2.ContinuationFrame:
			block = append(block, f.HeaderBlockFragment()...)
			if f.HeadersEnded() {
				c.gotBlock(fields, f.StreamID, block, endsToo)
			}
		default:
			c.got(f)
		}
	}
}

func (c *h2Conn) gotBlock(fields *hpack.Decoder, stream uint32, block []byte, ended bool) {
	list, err := fields.DecodeFull(block)
	c.update(func() {
		if err != nil {
			c.broken = err.Error()
		}
		var b h2Block
		for _, f := range list {
			b.fields = append(b.fields, Header{f.Name, f.Value})
		}
		s := c.stream(stream)
		s.blocks = append(s.blocks, b)
		s.ended = s.ended || ended
		if len(s.blocks) == 1 && c.opened != nil {
			c.opened(s)
		}
	})
}

func (c *h2Conn) got(f http2.Frame) {
	switch f := f.(type) {
	case *http2.DataFrame:
		c.gotData(f)
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.update(func() { c.given += f.Increment })
		}
	case *http2.RSTStreamFrame:
		c.update(func() { c.stream(f.StreamID).reset = c.resetText + f.ErrCode.String() })
	case *http2.GoAwayFrame:
		c.update(func() { c.goaway = append(c.goaway, fmt.Sprintf("%v, last stream %d", f.ErrCode, f.LastStreamID)) })
	case *http2.SettingsFrame:
		if !f.IsAck() {
			c.control(func(out *http2.Framer) { _ = out.WriteSettingsAck() })
		}
	case *http2.PingFrame:
		if f.IsAck() {
			c.update(func() { c.pings++ })
			return
		}
		data := f.Data
		c.control(func(out *http2.Framer) { _ = out.WritePing(true, data) })
	}
}

func (c *h2Conn) gotData(f *http2.DataFrame) {
	giveBack := uint32(f.Length)
	c.update(func() {
		s := c.stream(f.StreamID)
		if n := len(s.blocks); n > 0 {
			s.blocks[n-1].data = append(s.blocks[n-1].data, f.Data()...)
		}
		s.ended = s.ended || f.StreamEnded()
		if c.manual {
			giveBack = 0
		}
	})
	if giveBack == 0 {
		return
	}
	c.control(func(out *http2.Framer) {
		_ = out.WriteWindowUpdate(0, giveBack)
		if !f.StreamEnded() {
			_ = out.WriteWindowUpdate(f.StreamID, giveBack)
		}
	})
}

// control writes what the collector owes the peer.
func (c *h2Conn) control(f func(*http2.Framer)) {
	c.wmu.Lock()
	f(c.out.fr)
	c.wmu.Unlock()
	c.flush()
}

func (c *h2Conn) update(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.wake.Broadcast()
}

func (c *h2Conn) stream(id uint32) *h2Stream {
	s := c.streams[id]
	if s == nil {
		s = &h2Stream{id: id}
		c.streams[id] = s
		c.order = append(c.order, s)
	}
	return s
}

func (c *h2Conn) finish(err error) {
	c.update(func() {
		var code http2.ConnectionError
		if errors.Is(err, http2.ErrFrameTooLarge) || errors.As(err, &code) {
			c.broken, c.end = err.Error(), endSelf
		}
		if c.end == endNone {
			c.end = endOf(err)
		}
		if c.end == endReset && len(c.goaway) > 0 {
			c.end = endFIN // whether the kernel had unread bytes then is a matter of timing
		}
	})
}

// wait blocks until ok says yes, the connection has ended or the patience has run out; it reports what ok said last. The callback runs under
// the lock.
func (c *h2Conn) wait(patience time.Duration, ok func() bool) bool {
	timer := time.AfterFunc(patience, func() { c.update(func() {}) })
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if ok() {
			return true
		}
		if c.end != endNone || !time.Now().Before(deadline) {
			return false
		}
		c.wake.Wait()
	}
}

// ping waits until everything written before has been looked at by the peer.
func (c *h2Conn) ping() {
	c.mu.Lock()
	want := c.pings + 1
	c.mu.Unlock()
	c.write(Frame{Type: http2.FramePing, Conn: true, Data: []byte("barrier.")}, 0)
	c.flush()
	c.wait(patience, func() bool { return c.pings >= want })
}

func (c *h2Conn) close() {
	c.update(func() {
		if c.end == endNone {
			c.end = endSelf
		}
	})
	_ = c.conn.Close()
}

func (c *h2Conn) resetConn() {
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	c.close()
}

// done says that nothing more can come on the stream. With mu held.
func (s *h2Stream) done() bool { return s.ended || s.reset != "" || s.sentRST }

// final finds the block after 1xx, as an index; -1 when it is not here.
func (s *h2Stream) final() int {
	return slices.IndexFunc(s.blocks, func(b h2Block) bool {
		status, isResponse := b.get(":status")
		return !isResponse || !strings.HasPrefix(status, "1") || len(status) != 3
	})
}

func (b h2Block) get(name string) (string, bool) {
	for _, h := range b.fields {
		if h.Name == name {
			return h.Value, true
		}
	}
	return "", false
}

// String renders the stream: header blocks with their fields sorted by name, data, and how it stands.
func (s *h2Stream) String() string {
	var out strings.Builder
	final := s.final()
	for i, b := range s.blocks {
		prefix := ""
		if final >= 0 && i > final {
			prefix = "trailer "
		}
		writeHeaders(&out, b.fields, prefix)
		if misplaced(b.fields) {
			out.WriteString("a pseudo-header after a header\n")
		}
		if len(b.data) > 0 {
			fmt.Fprintf(&out, "body %s\n", Abbreviate(b.data))
		}
	}
	if s.ended {
		out.WriteString("ended\n")
	}
	if s.reset != "" {
		fmt.Fprintf(&out, "%s\n", s.reset)
	}
	return out.String()
}

func misplaced(fields []Header) bool {
	plain := false
	for _, h := range fields {
		if strings.HasPrefix(h.Name, ":") && plain {
			return true
		}
		plain = plain || !strings.HasPrefix(h.Name, ":")
	}
	return false
}

// report renders how the connection stands. With mu held.
func (c *h2Conn) report(name string) string {
	var out strings.Builder
	for _, g := range c.goaway {
		fmt.Fprintf(&out, "%s got GOAWAY %s\n", name, g)
	}
	if c.broken != "" {
		fmt.Fprintf(&out, "%s broke: %s\n", name, c.broken)
	}
	fmt.Fprintf(&out, "%s is %v\n", name, c.end)
	return out.String()
}
