//go:build linux

package bolt

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

func TestServerAnswersWithTheMark(t *testing.T) {
	for _, gather := range []bool{false, true} {
		r := newRig(t)
		r.server.Gather = gather
		c := r.dial(r.server.listener)
		var all []byte
		for i := range 20 {
			all = NewRequest().Append(all, uint32(100+i), NewMark(uint64(i)))
		}
		c.send(all)
		for i := range 20 {
			c.answered(i, uint32(100+i), uint64(i))
		}
	}
}

func TestRequestSplitAtEveryByte(t *testing.T) {
	r := newRig(t)
	c := r.dial(r.server.listener)
	frame := NewRequest().Append(nil, 1, NewMark(1))
	for i := 1; i < len(frame); i++ {
		c.send(frame[:i])
		c.send(frame[i:])
		c.answered(len(c.frames), 1, 1)
	}
}

func TestServerAnswersHeartbeats(t *testing.T) {
	r := newRig(t)
	c := r.dial(r.server.listener)
	c.send(append([]byte{version, KindRequest, 0, CommandHeartbeat, 1, 0, 0, 0, 9, 1, 255, 255, 255, 255}, make([]byte, 8)...))
	c.expect(1)
	if f, ok := Parse(c.frames[0]); !ok || f.Command != CommandHeartbeat || f.ID != 9 || f.Status != 0 || f.Size != answerHead {
		t.Errorf("%+v, %v", f, ok)
	}
}

func TestServerRefuses(t *testing.T) {
	r := newRig(t)
	c := r.dial(r.server.listener)
	frame := NewRequest().Append(nil, 3, NewMark(1))
	frame[len(frame)-1] ^= 1
	c.send(frame)
	c.expect(1)
	if f, _ := Parse(c.frames[0]); f.Status == 0 || f.ID != 3 {
		t.Errorf("a call that was changed on its way: %+v", f)
	}
	for name, bad := range map[string][]byte{"answer": NewAnswer().frame, "HTTP": []byte("GET / HTTP/1.1\r\n\r\n")} {
		c := r.dial(r.server.listener)
		c.send(bad)
		if c.expect(1); !c.ended {
			t.Errorf("%s: the connection goes on with %q", name, c.frames)
		}
	}
}

// A client that asks and never reads costs a bounded number of bytes, and then its connection.
func TestFullSocket(t *testing.T) {
	r := newRig(t)
	c := r.dial(r.server.listener)
	batch := bytes.Repeat(NewRequest().Append(nil, 1, NewMark(1)), 40)
	sent := 0
	for { // what a socket refuses is of no interest
		n, errno := rawsock.Send(c.fd, batch)
		if errno == unix.ECONNRESET || errno == unix.EPIPE {
			return
		}
		if sent += n; sent > 64<<20 {
			t.Fatal("64 MB were taken from a client that reads nothing")
		}
		r.turn(0)
	}
}

func TestAsk(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	wrong := NewAnswer().Append(nil, 1, NewMark(2)) // another's
	for name, answer := range map[string][]byte{"another's answer": wrong, "HTTP": []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "nothing": nil} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := listener.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if _, err := c.Read(make([]byte, MaxFrame)); err == nil {
				_, _ = c.Write(answer)
			}
		}()
		c, err := net.Dial("tcp4", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := Ask(c); err == nil {
			t.Errorf("%s passed for an answer", name)
		}
		c.Close()
		<-done
	}
}
