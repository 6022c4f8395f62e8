package peers

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// talk runs a client's script against a backend without a proxy in between and returns both reports.
func talk(t *testing.T, client string, scripts ...Script) (string, string) {
	t.Helper()
	act := &Activity{}
	b := NewBackend(t, "b", scripts, act)
	c := NewClient(fmt.Sprintf("127.0.0.1:%d", b.Port()), b.Requests, act)
	defer c.Close()
	if err := c.Run(script(t, client)); err != nil {
		t.Fatal(err)
	}
	c.AwaitAll()
	act.Settle(50 * time.Millisecond)
	c.AwaitClose()
	return c.Report(), b.Report()
}

func script(t *testing.T, text string) []Op {
	t.Helper()
	ops, err := ParseOps(strings.Split(text, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

func TestBackendAndClient(t *testing.T) {
	cases := []struct {
		name, client string
		scripts      []Script
		wantC, wantB string
	}{
		{"default answer", "> GET / HTTP/1.1\n>", nil,
			"client conn 1 got\n  HTTP/1.1 200 OK\n  content-length: 1\n  body \"b\"\nclient conn 1 is open\n",
			"b conn 1 got\n  GET / HTTP/1.1\nb conn 1 is open\n"},
		{"scripts in order, the last again", "> GET /1 HTTP/1.1\n>\n> GET /2 HTTP/1.1\n>\n> GET /3 HTTP/1.1\n>",
			[]Script{{Ops: script(t, "< HTTP/1.1 204 A\n<")}, {Ops: script(t, "< HTTP/1.1 204 B\n<")}},
			"client conn 1 got\n  HTTP/1.1 204 A\nclient conn 1 got\n  HTTP/1.1 204 B\nclient conn 1 got\n  HTTP/1.1 204 B\nclient conn 1 is open\n",
			"b conn 1 got\n  GET /1 HTTP/1.1\nb conn 1 got\n  GET /2 HTTP/1.1\nb conn 1 got\n  GET /3 HTTP/1.1\nb conn 1 is open\n"},
		{"close instead of an answer", "> GET / HTTP/1.1\n>", []Script{{Ops: script(t, "close")}},
			"client conn 1 is closed\n", "b conn 1 got\n  GET / HTTP/1.1\nb conn 1 is closed by the test\n"},
		{"reset instead of an answer", "> GET / HTTP/1.1\n>", []Script{{Ops: script(t, "reset")}},
			"client conn 1 is reset\n", "b conn 1 got\n  GET / HTTP/1.1\nb conn 1 is closed by the test\n"},
		{"answer at the head", "> POST / HTTP/1.1\n> content-length: 2\n>\nawait 1\n>| \"ab\"",
			[]Script{{On: OnHead, Ops: script(t, "< HTTP/1.1 204 A\n<")}},
			"client conn 1 got\n  HTTP/1.1 204 A\nclient conn 1 is open\n",
			"b conn 1 got\n  POST / HTTP/1.1\n  content-length: 2\n  body \"ab\"\nb conn 1 is open\n"},
		{"answer at the connection", "> GET / HTTP/1.1\n>", []Script{{On: OnConnect, Ops: script(t, "< HTTP/1.1 204 A\n<\nhang")}},
			"client conn 1 got\n  HTTP/1.1 204 A\nclient conn 1 is open\n",
			"b conn 1 then got \"GET / HTTP/1.1\\r\\n\\r\\n\"\nb conn 1 is open\n"},
		{"two connections", "> GET /1 HTTP/1.1\n>\nbackend 1\nconnect\n> GET /2 HTTP/1.1\n>", []Script{{Ops: script(t, "< HTTP/1.1 204 A\n<")}},
			"client conn 1 got\n  HTTP/1.1 204 A\nclient conn 1 is open\nclient conn 2 got\n  HTTP/1.1 204 A\nclient conn 2 is open\n",
			"b conn 1 got\n  GET /1 HTTP/1.1\nb conn 2 got\n  GET /2 HTTP/1.1\nb conn 1 is open\nb conn 2 is open\n"},
		{"garbage", ">| \"garbage\\r\\n\\r\\n\"", nil,
			"client conn 1 is open\n", "b conn 1 then got \"garbage\\r\\n\\r\\n\"\nb conn 1 is open\n"},
		{"tunnel", "> GET / HTTP/1.1\n>\nawait 1\n> ping\nread \"pong\"",
			[]Script{{Ops: script(t, "< HTTP/1.1 101 A\n<\nread \"ping\"\n<| \"pong\"")}},
			"client conn 1 got\n  HTTP/1.1 101 A\n  body \"pong\"\nclient conn 1 is open\n",
			"b conn 1 got\n  GET / HTTP/1.1\nb conn 1 then got \"ping\\r\\n\"\nb conn 1 is open\n"},
		{"announced close", "> GET / HTTP/1.1\n>",
			[]Script{{Ops: script(t, "< HTTP/1.1 204 A\n< connection: close\n<\nsleep 100ms\nclose")}},
			"client conn 1 got\n  HTTP/1.1 204 A\n  connection: close\nclient conn 1 is closed\n",
			"b conn 1 got\n  GET / HTTP/1.1\nb conn 1 is closed by the test\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			gotC, gotB := talk(t, c.client, c.scripts...)
			if gotC != c.wantC {
				t.Errorf("client:\n%swant:\n%s", gotC, c.wantC)
			}
			if gotB != c.wantB {
				t.Errorf("backend:\n%swant:\n%s", gotB, c.wantB)
			}
		})
	}
}

func TestHoldPort(t *testing.T) {
	port := HoldPort(t)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect while nobody listens: %v", err)
	}
	if ln, err := net.Listen("tcp", addr); err == nil {
		_ = ln.Close()
		t.Error("somebody without SO_REUSEPORT could take the port")
	}
	fd, err := bind(port, true)
	if err != nil {
		t.Errorf("bind with SO_REUSEPORT: %v", err)
	}
	_ = syscall.Close(fd)
}

func TestRefusedPort(t *testing.T) {
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", RefusedPort(t))); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect: %v", err)
	}
}

func TestFreePort(t *testing.T) {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}

func TestBlackHole(t *testing.T) {
	_, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", BlackHole(t)), 200*time.Millisecond)
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("connect: %v, want a timeout", err)
	}
}

func TestProcess(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	p := Start(t, sleep, "60")
	if p.RSS() <= 0 || p.FDs() <= 0 {
		t.Errorf("RSS %d, %d descriptors", p.RSS(), p.FDs())
	}
	if !p.Stop(5 * time.Second) {
		t.Error("did not end by SIGTERM")
	}
	if p.RSS() != 0 || p.FDs() != 0 {
		t.Errorf("after the end: RSS %d, %d descriptors", p.RSS(), p.FDs())
	}
	if err := p.WaitListen("127.0.0.1:1", time.Second); err == nil {
		t.Error("an ended process listens")
	}
}

func TestSettle(t *testing.T) {
	act := &Activity{}
	const quiet = 50 * time.Millisecond
	start := time.Now()
	go func() {
		time.Sleep(quiet / 2)
		act.Touch()
	}()
	act.Settle(quiet)
	if took := time.Since(start); took < quiet {
		t.Errorf("settled after %v", took)
	}
}
