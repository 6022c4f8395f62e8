package eventloop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenAddresses(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		for _, tt := range []struct{ listen, connect, remote string }{
			{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
			{"0.0.0.0:0", "127.0.0.1", "127.0.0.1"},
			{"[::1]:0", "::1", "::1"},
			{"[::]:0", "::1", "::1"},
			{"[::]:0", "127.0.0.1", "127.0.0.1"}, // v4-mapped, shown as IPv4
		} {
			var remote, local Addr
			ln := r.serve(ListenConfig{Addr: TCPAddr(mustAddrPort(tt.listen))}, func(c *Conn) Handler {
				remote, local = c.RemoteAddr(), c.LocalAddr()
				return echo{}
			})
			to := netip.AddrPortFrom(netip.MustParseAddr(tt.connect), ln.Addr().Port())
			c := r.connect(TCPAddr(to))
			mustWrite(t, c, []byte("x"))
			mustRead(t, c, 1)
			r.on(func(*Loop) {
				want := c.LocalAddr().(*net.TCPAddr).AddrPort()
				if remote.AddrPort != want || local.AddrPort != to {
					t.Errorf("%s: remote %v local %v, want %v and %v", tt.listen, remote, local, want, to)
				}
				ln.Close()
			})
			if remote.Addr().String() != tt.remote {
				t.Errorf("%s: the peer is shown as %v", tt.listen, remote)
			}
		}
	})
}

func TestListenV6Only(t *testing.T) {
	for _, only := range []bool{true, false} {
		socks, err := Bind(ListenConfig{Addr: TCPAddr(mustAddrPort("[::]:0")), V6Only: only}, 1)
		if err != nil {
			t.Fatal(err)
		}
		v, err := unix.GetsockoptInt(socks[0].FD(), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err != nil || (v != 0) != only {
			t.Errorf("V6Only %v: the option is %d, %v", only, v, err)
		}
		if err := socks[0].Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestListenUnix(t *testing.T) {
	r := newRig(t, Config{})
	path := filepath.Join(t.TempDir(), "s")
	for range 2 { // the second time over the file of the first
		ln := r.serve(ListenConfig{Addr: UnixAddr(path), Mode: 0o600}, func(*Conn) Handler { return echo{} })
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v, %v", st.Mode(), err)
		}
		r.on(func(*Loop) { ln.Close() })
	}
	file := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Bind(ListenConfig{Addr: UnixAddr(file)}, 1); err == nil {
		t.Fatal("bound over a plain file")
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatal("the plain file was removed")
	}
}

func TestListenAbstractUnix(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("abstract sockets exist on Linux only")
	}
	overKernels(t, func(t *testing.T, r *rig) {
		addr := UnixAddr(fmt.Sprintf("@sofamesh-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
		ln := r.serve(ListenConfig{Addr: addr}, func(*Conn) Handler { return echo{} })
		if ln.Addr() != addr {
			t.Fatalf("Addr = %v", ln.Addr())
		}
		h := newSpy()
		h.onConnect = func(c *Conn) {
			c.Out().AppendString("hello")
			if c.RemoteAddr() != addr {
				t.Errorf("RemoteAddr = %v", c.RemoteAddr())
			}
		}
		r.on(func(l *Loop) { l.Dial(addr, nil, h) })
		r.eventually("echo", func(*Loop) bool { return string(h.data) == "hello" })
	})
}

// TestReusePort: with port 0 all sockets get the same port, and every loop gets
// connections.
func TestReusePort(t *testing.T) {
	const loops = 3
	r := newRig(t, Config{Loops: loops})
	socks, err := Bind(ListenConfig{Addr: loopback(0)}, loops)
	if err != nil {
		t.Fatal(err)
	}
	var lns []*Listener
	for i, s := range socks {
		if s.Addr() != socks[0].Addr() || s.Addr().Port() == 0 {
			t.Fatalf("socket %d has %v", i, s.Addr())
		}
		if err := r.Loop(i).Call(func(l *Loop) {
			ln, err := l.Serve(s, acceptFunc(func(*Conn) Handler { return echo{} }))
			if err != nil {
				t.Error(err)
			}
			lns = append(lns, ln)
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		c := r.connect(lns[0].Addr())
		mustWrite(t, c, []byte("x"))
		mustRead(t, c, 1)
	}
	if runtime.GOOS != "linux" {
		return // one socket is shared there and any loop may win
	}
	for i, ln := range lns {
		if err := r.Loop(i).Call(func(*Loop) {
			if ln.Stats().Accepted == 0 {
				t.Errorf("loop %d accepted nothing", i)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSharedSocket: loops share one socket where SO_REUSEPORT is unwanted.
func TestSharedSocket(t *testing.T) {
	r := newRig(t, Config{Loops: 2})
	socks, err := Bind(ListenConfig{Addr: loopback(0), NoReusePort: true}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range socks {
		if err := r.Loop(i).Call(func(l *Loop) {
			if _, err := l.Serve(s, acceptFunc(func(*Conn) Handler { return echo{} })); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		c := r.connect(socks[0].Addr())
		mustWrite(t, c, []byte("x"))
		mustRead(t, c, 1)
	}
}

func TestBindErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := TCPAddr(taken.Addr().(*net.TCPAddr).AddrPort())
	before := openFiles(t)
	if _, err := Bind(ListenConfig{Addr: addr}, 2); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("binding a taken address: %v", err)
	}
	if _, err := Bind(ListenConfig{Addr: UnixAddr("/nonexistent/dir/s")}, 1); err == nil {
		t.Error("bound in a directory that does not exist")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestAdoptSocket(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		std, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = std.Close() }()
		f, err := std.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		s, err := AdoptSocket(fd)
		if err != nil {
			t.Fatal(err)
		}
		r.on(func(l *Loop) {
			if _, err := l.Serve(s, acceptFunc(func(*Conn) Handler { return echo{} })); err != nil {
				t.Error(err)
			}
		})
		c := r.connect(s.Addr())
		mustWrite(t, c, []byte("x"))
		mustRead(t, c, 1)
	})
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := AdoptSocket(int(file.Fd())); err == nil {
		t.Error("adopted what is no socket")
	}
}

func TestPauseAndResume(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
		r.on(func(*Loop) { ln.Pause() })
		c := r.connect(ln.Addr()) // the system takes it
		mustWrite(t, c, []byte("x"))
		r.wantQuiet()
		r.on(func(*Loop) {
			if ln.Stats().Accepted != 0 {
				t.Error("accepted while paused")
			}
			ln.Resume()
		})
		mustRead(t, c, 1)
	})
}

func TestRefusedByAcceptor(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return nil })
		c := r.connect(ln.Addr())
		wantEOF(t, c)
		r.on(func(l *Loop) {
			if l.Connections() != 0 {
				t.Error("a refused connection is left")
			}
		})
	})
}

// TestNoDescriptors takes all descriptors of the process away: accepting rests
// and does not spin, and goes on when there are some again.
func TestNoDescriptors(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("x"))
		mustRead(t, c, 1)
		late, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(late) }()

		var lim syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Fatal(err)
		}
		low := lim
		low.Cur = 3 // below what is open: nothing new can be
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		connectErr := unix.Connect(late, ln.Addr().sockaddr())
		r.eventually("exhaustion is noticed", func(*Loop) bool { return ln.Stats().Exhausted > 0 })
		r.wantQuiet()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Fatal(err)
		}
		if connectErr != nil {
			t.Fatal(connectErr)
		}
		r.eventually("accepting goes on", func(*Loop) bool { return ln.Stats().Accepted == 2 })
	})
}

// TestDescriptorsAreNonBlocking is a part of rule R4: a raw call must not wait.
func TestDescriptorsAreNonBlocking(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		check := func(what string, fd int) {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("%s: flags %#x, %v", what, flags, err)
			}
			fdFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || fdFlags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s is inherited by children: flags %#x, %v", what, fdFlags, err)
			}
			if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); what != "listener" && (err != nil || v == 0) {
				t.Errorf("%s: TCP_NODELAY %d, %v", what, v, err)
			}
		}
		h := newSpy()
		h.onConnect = func(c *Conn) { check("dialled", c.FD()) }
		accepted := make(chan struct{})
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			check("accepted", c.FD())
			close(accepted)
			return echo{}
		})
		r.on(func(l *Loop) {
			check("listener", ln.FD())
			l.Dial(ln.Addr(), nil, h)
		})
		<-accepted
		r.eventually("connected", func(*Loop) bool { return h.connects == 1 })
	})
}

func TestSocketOptions(t *testing.T) {
	r := newRig(t, Config{})
	opt := []SockOpt{{Level: unix.SOL_SOCKET, Name: unix.SO_RCVBUF, Value: 65536}}
	done := make(chan struct{})
	ln := r.serve(ListenConfig{Options: opt, KeepAlive: &KeepAlive{}, Nagle: true}, func(c *Conn) Handler {
		defer close(done)
		for _, o := range []struct{ level, name, want int }{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		} {
			if v, err := unix.GetsockoptInt(c.FD(), o.level, o.name); err != nil || (v != 0) != (o.want != 0) {
				t.Errorf("option %d/%d is %d, %v", o.level, o.name, v, err)
			}
		}
		return echo{}
	})
	r.on(func(*Loop) {
		if v, err := unix.GetsockoptInt(ln.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil || v < 65536 || v > 131072 {
			t.Errorf("SO_RCVBUF is %d, %v", v, err)
		}
	})
	r.connect(ln.Addr())
	<-done
	_, err := Bind(ListenConfig{Addr: loopback(0), Options: []SockOpt{{Level: 9999, Name: 1, Value: 1}}}, 1)
	if err == nil {
		t.Error("an option that does not exist was accepted")
	}
	if _, err := os.Stat("/proc"); err == nil {
		if _, err := Bind(ListenConfig{Addr: TCPAddr(mustAddrPort("192.0.2.77:0")), FreeBind: true}, 1); err != nil {
			t.Errorf("FreeBind: %v", err)
		}
	}
}
