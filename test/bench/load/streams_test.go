//go:build linux

package load

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// withHTTP2 is a loop on which the real server answers.
func withHTTP2(t *testing.T) (*rawsock.Loop, netip.AddrPort) {
	t.Helper()
	loop := newLoop(t)
	s, err := h2.NewServer(loop, anyPort)
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.Port()
	if err != nil {
		t.Fatal(err)
	}
	return loop, local(port)
}

// goServer answers as the server does, with Go's HTTP/2. wrong may do something else: it is told the request's number, and gives true
// when that was all.
func goServer(t *testing.T, wrong func(n int64, w http.ResponseWriter, answer []byte) bool) netip.AddrPort {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	var asked atomic.Int64
	request, answer, page := h2.NewRequest(), h2.NewAnswer(h2.Unary), h2.NewAnswer(h2.Get)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			var mark h2.Mark
			copy(mark[:], r.URL.Query().Get("id"))
			body := page.Append(nil, mark)
			if !wrong(asked.Add(1), w, body) {
				w.Write(body) //nolint:errcheck // the load will tell
			}
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		for message := make([]byte, request.Size()); ; {
			_, err := io.ReadFull(r.Body, message)
			if errors.Is(err, io.EOF) {
				break
			}
			mark, ok := request.Match(message)
			if err != nil || !ok {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", "13")
				return
			}
			body := answer.Append(nil, mark)
			if wrong(asked.Add(1), w, body) {
				return
			}
			w.Write(body)            //nolint:errcheck // the load will tell
			w.(http.Flusher).Flush() //nolint:errcheck // it is one
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), Protocols: &p}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestStreams(t *testing.T) {
	for name, p := range map[string]Plan{
		"pages":        {HTTP2: h2.Get, Conns: 4, Calls: 40},
		"calls":        {HTTP2: h2.Unary, Conns: 4, Calls: 40},
		"long calls":   {HTTP2: h2.Stream, Conns: 4, Calls: 40},
		"one":          {HTTP2: h2.Unary, Conns: 1, Calls: 1},
		"on one":       {HTTP2: h2.Get, Conns: 1, Calls: 200}, // more than a window holds
		"open loop":    {HTTP2: h2.Unary, Conns: 4, Calls: 40, Rate: 500},
		"pages, paced": {HTTP2: h2.Get, Conns: 4, Calls: 40, Rate: 500},
	} {
		for _, of := range []string{"our", "Go's"} {
			t.Run(name+" of "+of+" server", func(t *testing.T) {
				loop, target := withHTTP2(t)
				if of != "our" {
					target = goServer(t, func(int64, http.ResponseWriter, []byte) bool { return false })
				}
				p.Target, p.Warm, p.PIDs = target, window/5, []int{os.Getpid()}
				r, err := enough(loop, p, 100)
				if err != nil || r.Requests < 100 || r.Errors() != 0 || r.P50 <= 0 || r.CPU.Nanos <= 0 {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
	}
}

// Every tenth answer is wrong in one way: it is counted as that, and the others are taken.
func TestEachFaultOfAStreamIsCounted(t *testing.T) {
	write := func(w http.ResponseWriter, body []byte, status string) bool {
		w.Write(body) //nolint:errcheck // the load will tell
		if status != "" {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
		}
		return true
	}
	changed := func(b []byte) []byte { b[len(b)-1]++; return b }
	foreign := func(b []byte) []byte { return bytes.Replace(b, []byte("0000"), []byte("ffff"), 1) }
	for name, c := range map[string]struct {
		kind  h2.Kind
		wrong func(w http.ResponseWriter, b []byte) bool
		count func(Result) uint64
	}{
		"another's message":  {h2.Unary, func(w http.ResponseWriter, b []byte) bool { return write(w, foreign(b), "0") }, func(r Result) uint64 { return r.Foreign }},
		"a changed byte":     {h2.Unary, func(w http.ResponseWriter, b []byte) bool { return write(w, changed(b), "0") }, func(r Result) uint64 { return r.Length }},
		"two messages":       {h2.Unary, func(w http.ResponseWriter, b []byte) bool { return write(w, append(b, b...), "0") }, func(r Result) uint64 { return r.Length }},
		"no message":         {h2.Unary, func(w http.ResponseWriter, _ []byte) bool { return write(w, nil, "0") }, func(r Result) uint64 { return r.Length }},
		"unavailable":        {h2.Unary, func(w http.ResponseWriter, b []byte) bool { return write(w, b, "14") }, func(r Result) uint64 { return r.Status }},
		"no status":          {h2.Unary, func(w http.ResponseWriter, b []byte) bool { return write(w, b, "") }, func(r Result) uint64 { return r.Status }},
		"503":                {h2.Unary, func(w http.ResponseWriter, b []byte) bool { w.WriteHeader(503); return write(w, b, "0") }, func(r Result) uint64 { return r.Status }},
		"reset":              {h2.Unary, func(http.ResponseWriter, []byte) bool { panic(http.ErrAbortHandler) }, func(r Result) uint64 { return r.Cut }},
		"an end too early":   {h2.Stream, func(w http.ResponseWriter, _ []byte) bool { return write(w, nil, "0") }, func(r Result) uint64 { return r.Cut }},
		"another's, on long": {h2.Stream, func(w http.ResponseWriter, b []byte) bool { return write(w, foreign(b), "0") }, func(r Result) uint64 { return r.Foreign }},
		"a short page":       {h2.Get, func(w http.ResponseWriter, b []byte) bool { return write(w, b[1:], "") }, func(r Result) uint64 { return r.Length }},
		"another's page":     {h2.Get, func(w http.ResponseWriter, b []byte) bool { return write(w, foreign(b), "") }, func(r Result) uint64 { return r.Foreign }},
		"no page":            {h2.Get, func(w http.ResponseWriter, _ []byte) bool { w.WriteHeader(404); return true }, func(r Result) uint64 { return r.Status }},
	} {
		t.Run(name, func(t *testing.T) {
			target := goServer(t, func(n int64, w http.ResponseWriter, answer []byte) bool { return n%10 == 0 && c.wrong(w, answer) })
			r, err := enough(newLoop(t), Plan{Target: target, HTTP2: c.kind, Conns: 1, Calls: 4}, 20)
			if err != nil || r.Requests < 20 || c.count(r) == 0 || c.count(r) != r.Errors() {
				t.Errorf("%+v, %v: want failures of this kind only, and right answers", r, err)
			}
		})
	}
}

func TestNoHTTP2(t *testing.T) {
	loop, _, target := withBolt(t)
	if _, err := Run(loop, Plan{Target: target, HTTP2: h2.Get, Conns: 4, Calls: 4, Window: time.Minute}); err == nil || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("%v: want the run to give up", err)
	}
	for _, p := range []Plan{{HTTP2: h2.Get, Conns: 1}, {HTTP2: h2.Stream, Conns: 1, Calls: 1, Rate: 1}, {HTTP2: h2.Get, Conns: 1, Calls: 1, Large: true}} {
		if _, err := Run(loop, p); err == nil {
			t.Errorf("%+v was run", p)
		}
	}
}
