package http2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// These tests have the codec talk to Go's own HTTP/2, over a socket.

// socket plays the loop of a connection for a codec.
type socket struct {
	tb   testing.TB
	c    net.Conn
	conn *conn
	out  sdk.Buffer
	msg  sdk.Message
	in   []byte
	on   func(ev *sdk.Event)
	bad  func(ev *sdk.Event, err error)
}

func newSocket(tb testing.TB, c net.Conn, cfg *config) *socket {
	s := &socket{tb: tb, c: c, conn: cfg.New().(*conn)}
	s.out.Init(sdk.NewBufferPool(64))
	return s
}

// turn decodes what is there, lets the codec speak and writes. It returns false at
// the end of the connection.
func (s *socket) turn() bool {
	ev := sdk.Event{Msg: &s.msg}
	for {
		n, err := s.conn.Decode(s.in, &ev)
		s.in = s.in[n:]
		var ce *sdk.CodecError
		switch {
		case errors.As(err, &ce) && ce.Stream:
			s.bad(&ev, err)
			continue
		case err != nil:
			s.conn.Flush(&s.out)
			s.flush()
			s.bad(nil, err)
			return false
		case ev.Kind != sdk.EventNone:
			s.on(&ev)
			continue
		case s.conn.Pending():
			s.conn.Flush(&s.out)
			continue
		}
		return s.flush()
	}
}

func (s *socket) flush() bool {
	p := s.out.Bytes(nil)
	s.out.Release()
	_, err := s.c.Write(p)
	return err == nil
}

// run reads until the connection or the context ends. What comes over calls is run
// between two reads.
func (s *socket) run(calls <-chan func()) {
	reads := make(chan []byte)
	go func() {
		defer close(reads)
		for {
			p := make([]byte, 1+rand.IntN(20_000))
			n, err := s.c.Read(p)
			if n > 0 {
				reads <- p[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	defer s.c.Close()
	for ok := true; ok && s.turn(); {
		var p []byte
		select {
		case p, ok = <-reads:
			s.in = append(s.in, p...)
		case f, more := <-calls:
			if !more {
				ok = false
				break
			}
			f()
		}
	}
	s.c.Close()
	for range reads { //nolint:revive // to its end
	}
}

// echo sends back what it gets, as fast as the windows let it.
type echo struct {
	s       *socket
	streams map[uint64]*echoed
}

type echoed struct {
	body     sdk.Buffer
	end      bool
	trailers *sdk.Message
}

func (e *echo) on(ev *sdk.Event) {
	s := e.s
	x := e.streams[ev.Stream]
	switch ev.Kind {
	case sdk.EventHeaders:
		x = &echoed{}
		x.body.Init(sdk.NewBufferPool(4))
		e.streams[ev.Stream] = x
		m := message(":status", "200")
		for name, value := range ev.Msg.All() {
			if strings.HasPrefix(name, "x-") {
				m.Add(name, value)
			}
		}
		m.Add("x-method", ev.Msg.Method())
		m.Add("x-path", ev.Msg.Path())
		if err := s.conn.WriteHeaders(&s.out, ev.Stream, m, false); err != nil {
			s.tb.Error(err)
		}
	case sdk.EventReset:
		delete(e.streams, ev.Stream)
		return
	case sdk.EventData:
		x.body.Append(ev.Data)
	case sdk.EventTrailers:
		x.trailers = new(sdk.Message)
		x.trailers.CopyFrom(ev.Msg)
	case sdk.EventGoAway:
		return
	}
	x.end = x.end || ev.End || ev.Kind == sdk.EventTrailers
	e.write(ev.Stream, x)
}

func (e *echo) write(id uint64, x *echoed) {
	s := e.s
	for !x.body.Empty() {
		p := x.body.First()
		n := s.conn.WriteData(&s.out, id, p, false)
		s.conn.Consumed(&s.out, id, n)
		x.body.Drain(n)
		if n < len(p) {
			return
		}
	}
	if !x.end {
		return
	}
	if x.trailers != nil {
		s.conn.WriteTrailers(&s.out, id, x.trailers)
	} else {
		s.conn.WriteData(&s.out, id, nil, true)
	}
	delete(e.streams, id)
}

// TestGoClient has Go's client call the codec, many requests at a time, with bodies,
// trailers and requests that are given up.
func TestGoClient(t *testing.T) {
	cfg := newConfig(t, sdk.Downstream, &corev3.Http2ProtocolOptions{InitialStreamWindowSize: u32(initialRoom), InitialConnectionWindowSize: u32(100_000)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var served sync.WaitGroup
	served.Add(1)
	go func() {
		defer served.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Add(1)
			go func() {
				defer served.Done()
				s := newSocket(t, c, cfg)
				e := &echo{s: s, streams: map[uint64]*echoed{}}
				s.on = e.on
				s.bad = func(_ *sdk.Event, err error) { t.Error(err) }
				s.run(nil)
				if s.conn.live != 0 || s.conn.recv+s.conn.owed != 100_000 {
					t.Errorf("%d streams are left, and room for %d", s.conn.live, s.conn.recv+s.conn.owed)
				}
			}()
		}
	}()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	client := &http.Client{Transport: transport}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			rnd := rand.New(rand.NewPCG(uint64(worker), 1))
			for i := range 30 {
				if err := callGo(client, "http://"+l.Addr().String(), rnd, i); err != nil {
					t.Errorf("request %d of %d: %v", i, worker, err)
				}
			}
		}()
	}
	group.Wait()
	transport.CloseIdleConnections()
	l.Close()
	served.Wait()
}

// callGo makes one request with Go's client and checks what is echoed.
func callGo(client *http.Client, url string, rnd *rand.Rand, i int) error {
	body := bytes.Repeat([]byte(fmt.Sprint(i)), rnd.IntN(100_000))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	path := fmt.Sprintf("/%d?x=%s", i, strings.Repeat("p", rnd.IntN(50)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url+path, struct{ io.Reader }{bytes.NewReader(body)})
	if err != nil {
		return err
	}
	large := strings.Repeat("v", rnd.IntN(20)*rnd.IntN(1000))
	req.Header.Set("X-Large", large)
	req.Header.Set("X-Same", "the same in each")
	req.Trailer = http.Header{"X-Trailer": {"t"}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if i%5 == 3 {
		_, err := io.ReadFull(resp.Body, make([]byte, min(len(body), 10)))
		return err // and gives up
	}
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(got, body):
		return fmt.Errorf("a body of %d bytes has become one of %d", len(body), len(got))
	case resp.Header.Get("X-Large") != large || resp.Header.Get("X-Same") != "the same in each" || resp.Header.Get("X-Path") != path:
		return fmt.Errorf("header fields %v", resp.Header)
	case resp.Trailer.Get("X-Trailer") != "t":
		return fmt.Errorf("trailers %v", resp.Trailer)
	}
	return nil
}
