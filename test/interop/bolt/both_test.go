package bolt

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// both is a host that speaks HTTP/1 and Bolt on one port: HTTP it answers as com.acme.Hello would, with its name and the request's body; Bolt goes
// to a real server behind it.
type both struct {
	name   string
	addr   string
	target string
	web    chan net.Conn
	ln     net.Listener
	asked  atomic.Int32 // requests of HTTP
}

func newBoth(t *testing.T, name, target string) *both {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &both{name: name, addr: ln.Addr().String(), target: target, web: make(chan net.Conn), ln: ln}
	s := &http.Server{Handler: b, ReadHeaderTimeout: patience}
	go b.accept()
	go func() { _ = s.Serve(b) }()
	t.Cleanup(func() {
		_ = ln.Close()
		_ = s.Close()
	})
	return b
}

func (b *both) accept() {
	defer close(b.web)
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		go b.sort(conn)
	}
}

// sort looks at the first byte: Bolt's are its versions.
func (b *both) sort(conn net.Conn) {
	in := bufio.NewReader(conn)
	first, err := in.Peek(1)
	if err != nil {
		_ = conn.Close()
		return
	}
	if first[0] > 2 {
		b.web <- peeked{conn, in}
		return
	}
	defer conn.Close()
	server, err := net.Dial("tcp", b.target)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	for _, pass := range []func(){
		func() { _, _ = io.Copy(server, in) },
		func() { _, _ = io.Copy(conn, server) },
	} {
		go func() {
			pass()
			done <- struct{}{}
		}()
	}
	<-done
}

// peeked is a connection of which a byte was looked at.
type peeked struct {
	net.Conn
	in *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

// Accept implements net.Listener for the connections that speak HTTP.
func (b *both) Accept() (net.Conn, error) {
	conn, ok := <-b.web
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close implements net.Listener.
func (b *both) Close() error { return b.ln.Close() }

// Addr implements net.Listener.
func (b *both) Addr() net.Addr { return b.ln.Addr() }

// ServeHTTP implements http.Handler.
func (b *both) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.asked.Add(1)
	if strings.HasSuffix(r.URL.Path, "/slow") {
		select {
		case <-time.After(2 * time.Second):
		case <-r.Context().Done():
		}
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s:%s", b.name, body)
}
