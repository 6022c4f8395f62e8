//go:build linux

package load

import (
	"fmt"
	"net/netip"
	"time"

	"sofamesh.io/sofamesh/test/bench/backend"
	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/procfs"
)

// Plan is one measurement: who is loaded, how, for how long.
type Plan struct {
	Target     netip.AddrPort
	Conns      int
	HTTP2      h2.Kind       // what is asked over HTTP/2, by callers; None: another protocol
	Calls      int           // Bolt and HTTP/2: callers, spread over the connections, each with one call under way at most; 0: HTTP/1.1
	Gather     bool          // Bolt: what a turn of the loop gives a connection to send goes out with one write, instead of one for each call
	Large      bool          // ask for the 16 kB body instead of the 128 B one
	PerRequest bool          // a new connection for each request, "Connection: close" in it; closed loop only
	Rate       float64       // requests per second, sent on time whether or not answers come (open loop); 0: each connection sends when answered
	Warm       time.Duration // load before the window, not counted
	Window     time.Duration // what is counted
	PIDs       []int         // the processes whose CPU time the window is charged with
	Processor  int           // the one they run on; -1: any
}

// Result is what happened within the window.
type Result struct {
	Requests  uint64        // right answers
	Window    time.Duration // as it really was
	CPU       procfs.CPU    // used by Plan.PIDs
	Busy      float64       // share (0..1) of Plan.Processor's time in which it ran anything at all
	Self      procfs.CPU    // used by the load generator and backend together
	P50       time.Duration // from the moment a request was due, its connect included, to the last byte of its answer
	P99       time.Duration
	P999      time.Duration
	Unsent    uint64 // open loop: due before the window's end but not sent, all connections or callers being busy
	Connect   uint64 // failures by kind, over the whole run, warm-up included
	Cut       uint64
	Malformed uint64
	Status    uint64
	Length    uint64
	Foreign   uint64
}

// Errors is the number of failed exchanges.
func (r Result) Errors() uint64 {
	return r.Connect + r.Cut + r.Malformed + r.Status + r.Length + r.Foreign
}

func (p Plan) shape() (*shape, error) {
	switch {
	case p.Conns <= 0:
		return nil, fmt.Errorf("a plan needs connections, not %d", p.Conns)
	case p.PerRequest && p.Rate > 0:
		return nil, fmt.Errorf("a connection per request has no open loop")
	case p.Calls < 0 || p.Calls > 0 && (p.Calls < p.Conns || p.Calls >= p.Conns*idSlots || p.Large || p.PerRequest):
		return nil, fmt.Errorf("callers need a connection, connections a caller, and all keep to one content")
	case p.HTTP2 != h2.None && p.Calls == 0:
		return nil, fmt.Errorf("HTTP/2 needs callers")
	case p.HTTP2 == h2.Stream && p.Rate > 0:
		return nil, fmt.Errorf("long streams have no open loop")
	case p.Rate < 0 || p.Window < 0 || p.Warm < 0:
		return nil, fmt.Errorf("negative rate or time")
	}
	path, length, connection := "/", backend.SmallBytes, ""
	if p.Large {
		path, length = "/16k", backend.LargeBytes
	}
	if p.PerRequest {
		connection = "Connection: close\r\n"
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: sofamesh-bench\r\nAccept: */*\r\n%s\r\n", path, connection)
	return &shape{target: p.Target, request: []byte(request), length: length}, nil
}
