//go:build linux

package side

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/load"
)

// start runs Serve behind two pipes, as the runner does with a process.
func start(t *testing.T) *Client {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	fd := int(inR.Fd())
	go func() { done <- Serve(netip.MustParseAddrPort("127.0.0.1:0"), fd, outW) }()
	c, err := NewClient(inW, outR)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		inW.Close()
		if err := <-done; err != nil { // the end of its input ends it
			t.Error(err)
		}
		for _, f := range []*os.File{inR, outR, outW} {
			f.Close()
		}
	})
	return c
}

func TestCommands(t *testing.T) {
	c := start(t)
	self := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.Port) // no proxy: the load goes to the backend beside it
	for range 2 {
		if err := c.Hold(self, 100); err != nil {
			t.Fatal(err)
		}
		r, err := c.Run(load.Plan{Target: self, Conns: 4, Window: 20 * time.Millisecond, PIDs: []int{os.Getpid()}})
		if err != nil || r.Requests == 0 || r.Errors() != 0 || r.CPU.Nanos <= 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if err := c.Drop(); err != nil {
			t.Error(err)
		}
	}
	for _, gather := range []bool{false, true} {
		r, err := c.Run(load.Plan{Target: netip.AddrPortFrom(self.Addr(), c.Bolt), Conns: 2, Calls: 8, Gather: gather, Window: 20 * time.Millisecond})
		if err != nil || r.Requests == 0 || r.Errors() != 0 {
			t.Errorf("Bolt: %+v, %v", r, err)
		}
	}
	r, err := c.Run(load.Plan{Target: netip.AddrPortFrom(self.Addr(), c.HTTP2), HTTP2: h2.Unary, Conns: 2, Calls: 8, Window: 20 * time.Millisecond})
	if err != nil || r.Requests == 0 || r.Errors() != 0 {
		t.Errorf("HTTP/2: %+v, %v", r, err)
	}
}

func TestErrorsComeBack(t *testing.T) {
	c := start(t)
	if err := c.Drop(); err == nil {
		t.Error("Drop of nothing was accepted")
	}
	if _, err := c.Run(load.Plan{}); err == nil || !strings.Contains(err.Error(), "connections") {
		t.Errorf("%v: want the load's own words", err)
	}
	if _, err := NewClient(nil, strings.NewReader("")); err == nil {
		t.Error("a process that says nothing was accepted")
	}
}
