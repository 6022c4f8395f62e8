package http2

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// pendingCall is a request of the codec's, and what has come of it.
type pendingCall struct {
	body, got []byte
	sent      int
	status    int
	trailer   string
	early     bool
	done      func(error)
}

// TestGoServer has the codec call Go's server.
func TestGoServer(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Trailer")
		w.Header().Set("X-Echo", r.Header.Get("X-Large"))
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(http.StatusEarlyHints)
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Trailer", r.Trailer.Get("X-Trailer"))
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l) //nolint:errcheck // it ends with the test
	defer server.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newSocket(t, c, newConfig(t, sdk.Upstream, &corev3.Http2ProtocolOptions{InitialStreamWindowSize: u32(initialRoom), InitialConnectionWindowSize: u32(initialRoom)}))
	calls := map[uint64]*pendingCall{}
	s.bad = func(_ *sdk.Event, err error) { t.Error(err) }
	s.on = func(ev *sdk.Event) { clientEvent(s, calls, ev) }
	todo := make(chan func())
	go func() {
		defer close(todo)
		callServer(t, s, calls, todo)
	}()
	s.run(todo)
	if s.conn.live != 0 || s.conn.recv+s.conn.owed != initialRoom {
		t.Errorf("%d streams are left, and room for %d", s.conn.live, s.conn.recv+s.conn.owed)
	}
}

func clientEvent(s *socket, calls map[uint64]*pendingCall, ev *sdk.Event) {
	p := calls[ev.Stream]
	switch {
	case p == nil:
		return
	case ev.Kind == sdk.EventHeaders:
		p.status = ev.Msg.Status()
	case ev.Kind == sdk.EventData:
		p.got = append(p.got, ev.Data...)
		s.conn.Consumed(&s.out, ev.Stream, len(ev.Data))
	case ev.Kind == sdk.EventTrailers:
		p.trailer = strings.Clone(ev.Msg.Value("x-trailer"))
	case ev.Kind == sdk.EventWindow:
		p.write(s, ev.Stream)
	case ev.Kind == sdk.EventReset:
		delete(calls, ev.Stream)
		p.done(fmt.Errorf("reset: %v", ev.Reset))
		return
	}
	if ev.End || ev.Kind == sdk.EventTrailers {
		s.conn.WriteReset(&s.out, ev.Stream, sdk.ResetNone)
		delete(calls, ev.Stream)
		p.done(nil)
	}
}

// write sends more of the body, and then the trailers. Where the answer may come before
// they do there are none: Go's server takes late trailers for an error of the connection.
func (p *pendingCall) write(s *socket, id uint64) {
	n := s.conn.WriteData(&s.out, id, p.body[p.sent:], p.early)
	if p.sent += n; p.sent == len(p.body) && !p.early {
		s.conn.WriteTrailers(&s.out, id, message("x-trailer", "t"))
	}
}

// callServer makes requests, some at a time, and checks what is echoed.
func callServer(t *testing.T, s *socket, calls map[uint64]*pendingCall, todo chan<- func()) {
	var group sync.WaitGroup
	for worker := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			rnd := rand.New(rand.NewPCG(uint64(worker), 2))
			for i := range 30 {
				path, body := "/", bytes.Repeat([]byte(fmt.Sprint(i)), rnd.IntN(100_000))
				if i%10 == 9 {
					path = "/early"
				}
				large := strings.Repeat("v", rnd.IntN(20)*rnd.IntN(1000))
				result := make(chan error, 1)
				p := &pendingCall{body: body, early: path == "/early", done: func(err error) { result <- err }}
				todo <- func() {
					id := s.conn.NewStream()
					calls[id] = p
					m := message(":method", "POST", ":path", path, ":authority", "h", "te", "trailers", "trailer", "x-trailer", "x-large", large)
					if err := s.conn.WriteHeaders(&s.out, id, m, false); err != nil {
						p.done(err)
						return
					}
					p.write(s, id)
				}
				err := <-result
				switch {
				case err != nil:
					t.Errorf("request %d of %d: %v", i, worker, err)
				case path == "/early":
					if p.status != http.StatusTeapot {
						t.Errorf("early: status %d", p.status)
					}
				case p.status != 200 || !bytes.Equal(p.got, body) || p.trailer != "t":
					t.Errorf("request %d of %d: status %d, %d bytes of %d, trailer %q", i, worker, p.status, len(p.got), len(body), p.trailer)
				}
			}
		}()
	}
	group.Wait()
}
