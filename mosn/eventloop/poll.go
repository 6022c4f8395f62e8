//go:build linux || darwin

package eventloop

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poll is the portable Kernel over poll(2): O(descriptors) a turn, for laptops
// and for testing that the loop does not lean on epoll. It makes edges out of
// levels: a condition that was reported is not asked for again until a call on
// the descriptor fell short.
type poll struct {
	sockets
	fds    []unix.PollFd // fds[0] is the pipe; Fd < 0 is passed over by poll(2)
	tokens []uint64
	index  []int32 // by descriptor; 0 is none
	pipe   [2]int
}

// NewPoll returns the portable Kernel.
func NewPoll() (Kernel, error) {
	k := new(poll)
	if err := unix.Pipe(k.pipe[:]); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	for _, fd := range k.pipe {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			k.Release()
			return nil, fmt.Errorf("pipe: %w", err)
		}
	}
	k.fds = append(k.fds, unix.PollFd{Fd: int32(k.pipe[0]), Events: unix.POLLIN})
	k.tokens = append(k.tokens, 0)
	return k, nil
}

func (k *poll) Watch(fd int, token uint64) error {
	for len(k.index) <= fd {
		k.index = append(k.index, 0)
	}
	k.index[fd] = int32(len(k.fds))
	k.fds = append(k.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | pollReadHangUp})
	k.tokens = append(k.tokens, token)
	return nil
}

func (k *poll) Forget(fd int) {
	if fd < 0 || fd >= len(k.index) || k.index[fd] == 0 {
		return
	}
	at, last := k.index[fd], len(k.fds)-1
	moved := k.fds[last].Fd
	if moved < 0 {
		moved = ^moved
	}
	k.fds[at], k.tokens[at] = k.fds[last], k.tokens[last]
	k.index[moved] = at
	k.index[fd] = 0
	k.fds, k.tokens = k.fds[:last], k.tokens[:last]
}

func (k *poll) Wait(events []Event, timeout time.Duration) (int, error) {
	n, err := unix.Poll(k.fds, milliseconds(timeout))
	if err != nil {
		if err == unix.EINTR || err == unix.EAGAIN {
			return 0, nil
		}
		return 0, err
	}
	if n > 0 && k.fds[0].Revents != 0 {
		k.emptyPipe()
		n--
	}
	out := 0
	for i := 1; i < len(k.fds) && n > 0 && out < len(events); i++ {
		p := &k.fds[i]
		if p.Fd < 0 || p.Revents == 0 {
			continue
		}
		n--
		events[out] = Event{Token: k.tokens[i], Flags: EventFlags(uint16(p.Revents))}
		out++
		p.Events &^= p.Revents
		if p.Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0 {
			p.Fd = ^p.Fd // these cannot be masked, and nothing follows them
		}
	}
	return out, nil
}

func (k *poll) emptyPipe() {
	var buf [64]byte
	for {
		if n, err := unix.Read(k.pipe[0], buf[:]); n < len(buf) || err != nil {
			return
		}
	}
}

// rearm asks for a condition again.
func (k *poll) rearm(fd int, events int16) {
	if fd < len(k.index) && k.index[fd] != 0 {
		k.fds[k.index[fd]].Events |= events
	}
}

func (k *poll) Read(fd int, p []byte) (int, syscall.Errno) {
	n, errno := k.sockets.Read(fd, p)
	if errno == syscall.EAGAIN || n > 0 && n < len(p) {
		k.rearm(fd, unix.POLLIN)
	}
	return n, errno
}

func (k *poll) Write(fd int, p []byte) (int, syscall.Errno) {
	n, errno := k.sockets.Write(fd, p)
	if errno == syscall.EAGAIN || n > 0 && n < len(p) {
		k.rearm(fd, unix.POLLOUT)
	}
	return n, errno
}

func (k *poll) Writev(fd int, v [][]byte) (int, syscall.Errno) {
	n, errno := k.sockets.Writev(fd, v)
	total := 0
	for _, p := range v {
		total += len(p)
	}
	if errno == syscall.EAGAIN || errno == 0 && n < total {
		k.rearm(fd, unix.POLLOUT)
	}
	return n, errno
}

func (k *poll) Accept(fd int) (nfd int, from netip.AddrPort, errno syscall.Errno) {
	nfd, from, errno = k.sockets.Accept(fd)
	if errno == syscall.EAGAIN {
		k.rearm(fd, unix.POLLIN)
	}
	return nfd, from, errno
}

func (k *poll) Wake() { _, _ = unix.Write(k.pipe[1], []byte{1}) }

func (k *poll) Release() {
	_ = unix.Close(k.pipe[0])
	_ = unix.Close(k.pipe[1])
}

// milliseconds rounds up, so that a timer is due when Wait returns.
func milliseconds(d time.Duration) int {
	switch {
	case d < 0:
		return -1
	case d == 0:
		return 0
	}
	return int(min((d-1)/time.Millisecond, 1<<30-1)) + 1
}
