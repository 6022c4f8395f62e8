package http2

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestStalledReaders opens a thousand streams of one connection whose client never gives them a window again. Another stream of the same
// connection and other clients flow all the same, and what is held for the stalled ones is bounded: by the buffer limit for a backend of HTTP/1,
// by the windows of the streams for one of HTTP/2. All share one connection to that, whose window they would fill, as with Envoy, if what is
// held for them counted there.
func TestStalledReaders(t *testing.T) {
	const streams = 1000
	cases := []struct {
		name    string
		http1   bool
		options string
	}{
		{"http1 backend", true, ""}, // a connection each, 32 kB of buffer and what stands around it
		{"http2 backend", false, ""},
		{"http2 backend, windows that are configured", false, "initial_stream_window_size: 65536, initial_connection_window_size: 1048576"},
	}
	const bound = 160 << 20
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := startProxy(t, setup{Backend: origin(t), HTTP1: c.http1, Workers: 1, Options: c.options})
			alone := time.Duration(0)
			if !c.http1 { // with a thousand connections the system may be short of memory for their buffers
				alone = download(t, p)
			}
			others, peak := watch(t, p), growth(p)
			eventually(t, "others are served", func() bool { return others.served.Load() > 10 })
			r := newReader(t, p.addr())
			for range streams {
				r.get("/bytes/1000000")
			}
			r.flush()
			for n := 0; n < streams; n += r.answered {
				r.answered = 0
				if !r.read(t) {
					t.Fatalf("%d of %d streams have an answer", n, streams)
				}
			}
			for range 20 { // others of the connection flow
				id := r.get("/bytes/5000")
				r.allow(id, 5001)
				r.flush()
				if n := r.body(t, id); n != 5000 {
					t.Fatalf("a stream that reads got %d bytes", n)
				}
			}
			if !c.http1 {
				t.Logf("32 MB took a reader %v before, and %v beside the stalled streams", alone, download(t, p))
			}
			before := others.served.Load()
			eventually(t, "others are served beside stalled streams", func() bool { return others.served.Load() > before+50 })
			grew := peak()
			t.Logf("RSS grew by %d kB for %d stalled streams", grew>>10, streams)
			if n := p.stat(t, "cluster.b.upstream_cx_http2_total"); !c.http1 && n != 1 {
				t.Errorf("they do not share a connection: there were %d", n)
			}
			if grew > bound {
				t.Errorf("RSS grew by %d kB, more than %d", grew>>10, bound>>10)
			}
			_ = r.conn.Close()
			others.end(t)
			p.quiet(t)
		})
	}
}

// download reads a large body on a connection of its own and returns how long it took.
func download(t *testing.T, p *proxy) time.Duration {
	t.Helper()
	client, start := goClient(t), time.Now()
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + p.addr() + "/bytes/33554432")
	if err := checkBody(resp, err, 32<<20, 0); err != nil {
		t.Fatalf("a client that reads: %v", err)
	}
	return time.Since(start)
}

// reader is a client that opens each window by hand: none when a stream begins. It belongs to one goroutine.
type reader struct {
	*attacker
	in       *http2.Framer
	seen     map[uint32]*answer
	answered int // heads that have come
}

// answer is what has come of an answer.
type answer struct {
	end   bool
	bytes int
}

func newReader(t *testing.T, addr string) *reader {
	t.Helper()
	a, err := newAttacker(addr, false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.conn.Close() })
	_ = a.WriteWindowUpdate(0, 1<<30)
	r := &reader{attacker: a, in: http2.NewFramer(nil, a.conn), seen: map[uint32]*answer{}}
	return r
}

func (r *reader) get(path string) uint32 {
	id, _ := r.request(r.head(path), true)
	r.seen[id] = &answer{}
	return id
}

func (r *reader) allow(id uint32, n int) { _ = r.WriteWindowUpdate(id, uint32(n)) }

func (r *reader) flush() { _ = r.out.Flush() }

// read takes one frame; false when none has come for a while.
func (r *reader) read(t *testing.T) bool {
	t.Helper()
	_ = r.conn.SetReadDeadline(time.Now().Add(patience))
	f, err := r.in.ReadFrame()
	if err != nil {
		if n, ok := err.(net.Error); ok && n.Timeout() {
			return false
		}
		t.Fatalf("the connection ended: %v", err)
	}
	a := r.seen[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.HeadersFrame:
		r.answered++
		a.end = a.end || f.StreamEnded()
	case *http2.DataFrame:
		a.bytes += len(f.Data())
		a.end = a.end || f.StreamEnded()
	case *http2.RSTStreamFrame:
		t.Fatalf("stream %d was reset: %v", f.StreamID, f.ErrCode)
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = r.WriteSettingsAck()
			r.flush()
		}
	case *http2.GoAwayFrame:
		t.Fatalf("GOAWAY: %v %s", f.ErrCode, bytes.TrimSpace(f.DebugData()))
	}
	return true
}

// body reads until the stream has ended, and returns the length of its body.
func (r *reader) body(t *testing.T, id uint32) int {
	t.Helper()
	for !r.seen[id].end {
		if !r.read(t) {
			t.Fatalf("stream %d does not end: %+v", id, *r.seen[id])
		}
	}
	return r.seen[id].bytes
}
