package eventloop

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// overRawKernels runs a test on a bare Kernel with a pair of sockets, the first
// of which is watched under token 7.
func overRawKernels(t *testing.T, test func(t *testing.T, k Kernel, near, far int)) {
	for name, newKernel := range kernels() {
		t.Run(name, func(t *testing.T) {
			k, err := newKernel()
			if err != nil {
				t.Fatal(err)
			}
			defer k.Release()
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Close(fds[1]) }()
			if err := unix.SetNonblock(fds[0], true); err != nil {
				t.Fatal(err)
			}
			if err := k.Watch(fds[0], 7); err != nil {
				t.Fatal(err)
			}
			test(t, k, fds[0], fds[1])
			k.Forget(fds[0])
			k.Close(fds[0], false)
			if n, err := k.Wait(make([]Event, 8), 0); n != 0 || err != nil {
				t.Errorf("%d events, %v after Forget and Close", n, err)
			}
		})
	}
}

func flagsOf(t *testing.T, k Kernel) EventFlags {
	t.Helper()
	events := make([]Event, 8)
	n, err := k.Wait(events, 0)
	if err != nil || n > 1 || n == 1 && events[0].Token != 7 {
		t.Fatalf("%d events %v, %v", n, events[:n], err)
	}
	if n == 0 {
		return 0
	}
	return events[0].Flags
}

// TestEdges: a condition is reported once, and again after a call fell short.
func TestEdges(t *testing.T) {
	overRawKernels(t, func(t *testing.T, k Kernel, near, far int) {
		if f := flagsOf(t, k); f != EventWritable {
			t.Fatalf("at first: %#x", f)
		}
		if f := flagsOf(t, k); f != 0 {
			t.Fatalf("reported twice: %#x", f)
		}
		mustSys(t, unix.Send(far, []byte("hello"), 0))
		if f := flagsOf(t, k); f&EventReadable == 0 {
			t.Fatalf("with data: %#x", f)
		}
		if f := flagsOf(t, k); f != 0 {
			t.Fatalf("unread data is reported twice: %#x", f)
		}
		buf := make([]byte, 64)
		if n, errno := k.Read(near, buf); n != 5 || errno != 0 {
			t.Fatalf("read %d, %v", n, errno)
		}
		if n, errno := k.Read(near, buf); n != 0 || errno != syscall.EAGAIN {
			t.Fatalf("read %d, %v", n, errno)
		}
		mustSys(t, unix.Send(far, []byte("more"), 0))
		if f := flagsOf(t, k); f&EventReadable == 0 {
			t.Fatalf("after a short read: %#x", f)
		}
		mustSys(t, unix.Shutdown(far, unix.SHUT_WR))
		if n, errno := k.Read(near, buf); n != 4 || errno != 0 {
			t.Fatalf("read %d, %v", n, errno)
		}
		if f := flagsOf(t, k); f&(EventReadHangUp|EventReadable) == 0 {
			t.Fatalf("after a half close: %#x", f)
		}
		if n, errno := k.Read(near, buf); n != 0 || errno != 0 {
			t.Fatalf("read %d, %v at the end", n, errno)
		}
	})
}

func TestWritableEdge(t *testing.T) {
	overRawKernels(t, func(t *testing.T, k Kernel, near, far int) {
		flagsOf(t, k)
		piece := make([]byte, 100_000)
		sent := 0
		for {
			n, errno := k.Writev(near, [][]byte{piece, piece})
			if errno == syscall.EAGAIN {
				break
			}
			if errno != 0 {
				t.Fatal(errno)
			}
			sent += n
		}
		if n, errno := k.Write(near, piece); n != 0 || errno != syscall.EAGAIN {
			t.Fatalf("wrote %d, %v into a full socket", n, errno)
		}
		if f := flagsOf(t, k); f != 0 {
			t.Fatalf("a full socket reports %#x", f)
		}
		for sent > 0 {
			n, err := unix.Read(far, piece)
			if err != nil {
				t.Fatal(err)
			}
			sent -= n
		}
		if f := flagsOf(t, k); f != EventWritable {
			t.Fatalf("an emptied socket reports %#x", f)
		}
	})
}

func TestWriteToAClosedPeer(t *testing.T) {
	overRawKernels(t, func(t *testing.T, k Kernel, near, far int) {
		mustSys(t, unix.Shutdown(far, unix.SHUT_RD))
		if n, errno := k.Write(near, []byte("x")); n != 0 || errno != syscall.EPIPE {
			t.Errorf("wrote %d, %v", n, errno)
		}
		if n, errno := k.Writev(near, [][]byte{{1}, {2}}); n != 0 || errno != syscall.EPIPE {
			t.Errorf("wrote %d, %v", n, errno)
		}
	})
}

func TestWake(t *testing.T) {
	overRawKernels(t, func(t *testing.T, k Kernel, near, far int) {
		flagsOf(t, k)
		for range 3 {
			done := make(chan error, 1)
			go func() {
				n, err := k.Wait(make([]Event, 8), patience)
				if n != 0 {
					err = errors.New("an event came")
				}
				done <- err
			}()
			k.Wake()
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(patience / 2):
				t.Fatal("Wait was not woken")
			}
			flagsOf(t, k)
		}
	})
}

func TestForgetMany(t *testing.T) {
	for name, newKernel := range kernels() {
		t.Run(name, func(t *testing.T) {
			k, err := newKernel()
			if err != nil {
				t.Fatal(err)
			}
			defer k.Release()
			k.Forget(12345) // never watched
			far := map[uint64]int{}
			near := map[uint64]int{}
			for token := range uint64(20) {
				fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
				if err != nil {
					t.Fatal(err)
				}
				near[token], far[token] = fds[0], fds[1]
				if err := k.Watch(fds[0], token); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = unix.Close(fds[1]) }()
			}
			events := make([]Event, 64)
			if n, _ := k.Wait(events, 0); n != 20 {
				t.Fatalf("%d of 20 are writable", n)
			}
			for token := uint64(0); token < 20; token += 3 {
				k.Forget(near[token])
				k.Close(near[token], false)
				delete(near, token)
			}
			for token := range near {
				mustSys(t, unix.Send(far[token], []byte("x"), 0))
			}
			n, err := k.Wait(events, 0)
			if n != len(near) || err != nil {
				t.Fatalf("%d events, %v; want %d", n, err, len(near))
			}
			for _, ev := range events[:n] {
				if _, ok := near[ev.Token]; !ok {
					t.Errorf("an event for %d, which is closed", ev.Token)
				}
			}
			for _, fd := range near {
				k.Forget(fd)
				k.Close(fd, false)
			}
		})
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 1<<63 - 1: 1 << 30,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("milliseconds(%d) = %d, want %d", d, got, want)
		}
	}
}

func mustSys(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
