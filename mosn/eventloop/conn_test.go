package eventloop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestEcho(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
		c := r.connect(ln.Addr())
		for _, size := range []int{1, 100, 20_000, 200_000} {
			want := pattern(size)
			done := make(chan error, 1)
			go func() {
				_, err := c.Write(want)
				done <- err
			}()
			if got := mustRead(t, c, size); !bytes.Equal(got, want) {
				t.Fatalf("the echo of %d bytes differs", size)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantEOF(t, c)
		r.eventually("the connection is gone", func(l *Loop) bool { return l.Connections() == 0 })
	})
}

func TestEchoUnixSocket(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		path := filepath.Join(t.TempDir(), "s")
		var accepted *Conn
		ln := r.serve(ListenConfig{Addr: UnixAddr(path), Mode: 0o600}, func(c *Conn) Handler {
			accepted = c
			return echo{}
		})
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("hello"))
		if got := mustRead(t, c, 5); string(got) != "hello" {
			t.Fatalf("echo %q", got)
		}
		r.on(func(*Loop) {
			if got := accepted.LocalAddr(); got != UnixAddr(path) {
				t.Errorf("LocalAddr = %v", got)
			}
		})
	})
}

// TestConnSize holds the structure to its budget: idle connections are many.
func TestConnSize(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 400 {
		t.Fatalf("a Conn has %d bytes", size)
	}
	t.Logf("a Conn has %d bytes", unsafe.Sizeof(Conn{}))
}

func TestDial(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		to := r.listenStd(func(c *net.TCPConn) {
			_, _ = io.Copy(c, c)
		})
		h := newSpy()
		h.onConnect = func(c *Conn) {
			if c.RemoteAddr() != to || !c.LocalAddr().IsValid() || !c.Established() {
				t.Errorf("remote %v, local %v", c.RemoteAddr(), c.LocalAddr())
			}
			c.Out().AppendString(" world")
		}
		h.onData = func(c *Conn, in []byte) int {
			h.data = append(h.data, in...)
			if len(h.data) == len("hello world") {
				c.CloseWrite()
			}
			return len(in)
		}
		h.onEOF = func(c *Conn) { c.Close() }
		r.on(func(l *Loop) {
			c := l.Dial(to, &DialConfig{Timeout: patience, KeepAlive: &KeepAlive{Idle: time.Minute}}, h)
			c.Out().AppendString("hello") // waits for the connection
			if h.connects != 0 {
				t.Error("OnConnect before Dial returned")
			}
		})
		h.wait(t)
		if string(h.data) != "hello world" || h.connects != 1 || h.eofs != 1 || h.err != nil {
			t.Fatalf("data %q, connects %d, eofs %d, err %v", h.data, h.connects, h.eofs, h.err)
		}
	})
}

func TestDialErrors(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		refused := boundPort(t)
		tests := []struct {
			name string
			to   Addr
			cfg  *DialConfig
			kind Kind
		}{
			{"refused", refused, nil, KindRefused},
			{"no such Unix socket", UnixAddr(filepath.Join(t.TempDir(), "none")), nil, KindRefused},
			{"no such local address", refused, &DialConfig{Local: mustAddrPort("192.0.2.1:0")}, KindNoAddress},
		}
		for _, tt := range tests {
			h := newSpy()
			r.on(func(l *Loop) {
				l.Dial(tt.to, tt.cfg, h)
				if h.closes != 0 {
					t.Errorf("%s: OnClose before Dial returned", tt.name)
				}
			})
			h.wait(t)
			if KindOf(h.err) != tt.kind || h.connects != 0 {
				t.Errorf("%s: %s, want %v", tt.name, describe(h.err), tt.kind)
			}
			if e := new(Error); !errors.As(h.err, &e) || e.Op != "connect" || !strings.HasPrefix(h.err.Error(), "connect: ") {
				t.Errorf("%s: error %q", tt.name, h.err)
			}
		}
	})
}

// boundPort returns a TCP address that is taken for the length of the test but
// not listened on, so that nobody else can answer there.
func boundPort(t *testing.T) Addr {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, loopback(0).sockaddr()); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return addrOf(sa)
}
