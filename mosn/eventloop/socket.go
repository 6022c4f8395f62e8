//go:build linux || darwin

package eventloop

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultBacklog is the length of a listener's queue unless set; the system
// cuts it to its own maximum.
const DefaultBacklog = 4096

// ListenConfig is how listening sockets are made.
type ListenConfig struct {
	Addr        Addr
	Backlog     int         // 0: DefaultBacklog
	V6Only      bool        // an IPv6 address takes no IPv4 connections
	NoReusePort bool        // one socket shared by the loops
	Mode        fs.FileMode // of a Unix socket's file; 0 leaves the umask's
	KeepAlive   *KeepAlive  // for accepted connections; nil: off
	Nagle       bool        // leaves TCP_NODELAY off on accepted connections
	FreeBind    bool        // the address need not exist (Linux)
	Transparent bool        // IP_TRANSPARENT (Linux)
	Options     []SockOpt   // set before bind
}

// Socket is a listening descriptor that no loop serves yet.
type Socket struct {
	fd   int
	addr Addr
}

// NewSocket wraps a descriptor of a Kernel that is not the system's, such as
// looptest's.
func NewSocket(fd int, addr Addr) *Socket { return &Socket{fd, addr} }

// AdoptSocket takes over an inherited listening descriptor. Any goroutine.
func AdoptSocket(fd int) (*Socket, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("adopt descriptor %d: %w", fd, err)
	}
	if listening == 0 {
		return nil, fmt.Errorf("adopt descriptor %d: not a listening socket", fd)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("adopt descriptor %d: %w", fd, err)
	}
	return socketOf(fd)
}

// Addr returns the address bound to. Any goroutine.
func (s *Socket) Addr() Addr { return s.addr }

// FD returns the descriptor, -1 when a loop has taken it over.
func (s *Socket) FD() int { return s.fd }

// Close closes a socket that no loop serves.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// Bind makes n listening sockets for n loops: on Linux each its own with
// SO_REUSEPORT (with port 0 all get the same port), else one shared by
// duplicates. Any goroutine.
func Bind(cfg ListenConfig, n int) ([]*Socket, error) {
	shared := cfg.NoReusePort || cfg.Addr.IsUnix() || !reusePortBalances
	var out []*Socket
	fail := func(err error) ([]*Socket, error) {
		for _, s := range out {
			_ = s.Close()
		}
		return nil, err
	}
	for len(out) < n {
		var s *Socket
		var err error
		if shared && len(out) > 0 {
			s, err = out[0].dup()
		} else {
			s, err = bindOne(&cfg, !shared)
		}
		if err != nil {
			return fail(fmt.Errorf("listen on %s: %w", cfg.Addr, err))
		}
		cfg.Addr = s.addr // port 0 has become a port
		out = append(out, s)
	}
	return out, nil
}

func (s *Socket) dup() (*Socket, error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Socket{fd, s.addr}, nil
}

func socketOf(fd int) (*Socket, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	return &Socket{fd, addrOf(sa)}, nil
}

func bindOne(cfg *ListenConfig, reusePort bool) (*Socket, error) {
	fd, errno := newSocket(cfg.Addr.domain())
	if errno != 0 {
		return nil, errno
	}
	if err := cfg.listen(fd, reusePort); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return socketOf(fd)
}

// listen configures, binds and opens the socket. Options that accepted sockets
// inherit are set here, once.
func (cfg *ListenConfig) listen(fd int, reusePort bool) error {
	if err := setSockOpts(fd, cfg.Options); err != nil {
		return err
	}
	var err error
	if cfg.Addr.IsUnix() {
		err = cfg.bindUnix(fd)
	} else {
		err = cfg.bindTCP(fd, reusePort)
	}
	if err != nil {
		return err
	}
	backlog := cfg.Backlog
	if backlog <= 0 {
		backlog = DefaultBacklog
	}
	return unix.Listen(fd, backlog)
}

func (cfg *ListenConfig) bindUnix(fd int) error {
	path := cfg.Addr.Path
	abstract := strings.HasPrefix(path, "@")
	if !abstract {
		// A socket left by an earlier process would make bind fail.
		if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSocket != 0 {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	if err := unix.Bind(fd, cfg.Addr.sockaddr()); err != nil {
		return err
	}
	if cfg.Mode != 0 && !abstract {
		return os.Chmod(path, cfg.Mode.Perm())
	}
	return nil
}

func (cfg *ListenConfig) bindTCP(fd int, reusePort bool) error {
	v6 := cfg.Addr.domain() == unix.AF_INET6
	set := []option{{unix.SO_REUSEADDR, 1}}
	if reusePort {
		set = append(set, option{unix.SO_REUSEPORT, 1})
	}
	if err := setAll(fd, unix.SOL_SOCKET, set); err != nil {
		return err
	}
	if v6 {
		only := 0
		if cfg.V6Only {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return err
		}
	}
	if !cfg.Nagle {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
	}
	if cfg.KeepAlive != nil {
		if err := setKeepAlive(fd, cfg.KeepAlive); err != nil {
			return err
		}
	}
	if cfg.FreeBind {
		if err := setFreeBind(fd, v6); err != nil {
			return err
		}
	}
	if cfg.Transparent {
		if err := setTransparent(fd, v6); err != nil {
			return err
		}
	}
	return unix.Bind(fd, cfg.Addr.sockaddr())
}
