package bolt

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// call is a command and the beginning of its result, for the pairs of client and server where it makes sense.
type call struct {
	name    string
	pairs   string // "java-node" is a Java client and a Node server
	command string
	want    string // NAME stands for the server's
}

const (
	allPairs   = "java-java java-node node-java node-node"
	javaClient = "java-java java-node"
)

// calls are what the peers do without mosn too. The Node package has neither one-way calls nor callbacks; its server answers an exception in a
// form that its own client shows as another error, and Java's as one of deserialization.
var calls = []call{
	{"sync", allPairs, "call method=hello text=a", "ok NAME:a"},
	{"future", javaClient, "call method=hello text=b kind=future", "ok NAME:b"},
	{"callback", javaClient, "call method=hello text=c kind=callback", "ok NAME:c"},
	{"exception", "java-java", "call method=fail text=no", "error Refusal no"},
	{"exception", "java-node", "call method=fail text=no", "error SofaRpcException/230 "},
	{"exception", "node-java", "call method=fail text=no", "error com.acme.Refusal no"},
	{"exception", "node-node", "call method=fail text=no", "error Error com.alipay.remoting.rpc.exception.RpcServerException: Error: no"},
	{"exception by callback", "java-java", "call method=fail text=no kind=callback", "error Refusal no"},
	{"protobuf", "java-java", "call service=proto text=p", "ok NAME:p"},
	{"protobuf exception", "java-java", "call service=proto method=fail text=no", "error SofaRpcException/199 no"},
	{"protobuf load", "java-java", "load service=proto kind=callback calls=200 at_once=50", "from-NAME=200 ok=200"},
	{"8 MB", allPairs, "call method=mirror size=8388608 timeout=30000", "ok 8388608 bytes"},
	{"a thousand at once", allPairs, "load kind=callback method=slow ms=50 calls=1000 at_once=1000 size=2000", "from-NAME=1000 ok=1000"},
}

func (w *world) testCalls(t *testing.T, p path) {
	for _, client := range []string{"java", "node"} {
		for _, to := range []string{"java", "node"} {
			pair := client + "-" + to
			t.Run(pair, func(t *testing.T) {
				c := w.clients[client]
				for _, call := range calls {
					if !strings.Contains(call.pairs, pair) {
						continue
					}
					want := strings.ReplaceAll(call.want, "NAME", to)
					if got := c.do(t, "%s to=%s", call.command, p.server(to)); !strings.HasPrefix(got, want) {
						t.Errorf("%s: got %q, want %q", call.name, got, want)
					}
				}
				if client == "java" {
					w.testOneWay(t, c, w.serverOf(to), p.server(to), p.name)
				}
				testTimeout(t, c, client, p.server(to))
			})
		}
	}
}

func (w *world) serverOf(kind string) *server {
	if kind == "java" {
		return w.java
	}
	return w.node
}

// testOneWay checks that one-way calls arrive, each once, and that calls after them get their own answers: the Node server answers what nobody
// has asked.
func (w *world) testOneWay(t *testing.T, c *program, s *server, addr, tag string) {
	t.Helper()
	tag = strings.ReplaceAll(tag, " ", "-")
	for i := range 20 {
		if got := c.do(t, "call method=tell text=%s-%d kind=oneway to=%s", tag, i, addr); got != "ok sent" {
			t.Errorf("one-way call %d: %s", i, got)
		}
	}
	wantLoad(t, c.do(t, "load kind=callback calls=50 at_once=10 to=%s", addr), 50)
	for i := range 20 {
		s.await(t, fmt.Sprintf("told %s-%d", tag, i))
		if n := s.count(fmt.Sprintf("told %s-%d", tag, i)); n != 1 {
			t.Errorf("one-way call %d arrived %d times", i, n)
		}
	}
}

// timeouts are what the clients make of a deadline that has passed. The Node client has a name for its own timer only: it shows every error answer
// as the same, so that of a mosn whose timer was first too.
var timeouts = map[string]*regexp.Regexp{
	"java": regexp.MustCompile(`^error SofaTimeOutException/200 `),
	"node": regexp.MustCompile(`^error (RpcResponseTimeoutError |Error Server exception when invoke)`),
}

// testTimeout lets a call time out in the client. The connection stays usable, and the late answer is not given to another call: others are under
// way before and after it comes.
func testTimeout(t *testing.T, c *program, client, addr string) {
	t.Helper()
	late := c.begin(t, "call method=slow ms=500 timeout=200 text=late to=%s", addr)
	beside := c.begin(t, "call method=slow ms=600 text=beside to=%s", addr) // ends after the late answer
	wantLoad(t, c.do(t, "load kind=callback calls=50 at_once=10 to=%s", addr), 50)
	if got := c.result(t, late); !timeouts[client].MatchString(got) {
		t.Errorf("timeout: got %q, want %s", got, timeouts[client])
	}
	if got := c.result(t, beside); !strings.HasSuffix(got, ":beside") {
		t.Errorf("the call beside the one that timed out: %q", got)
	}
	wantLoad(t, c.do(t, "load kind=callback calls=50 at_once=10 to=%s", addr), 50)
}

// onlyOK are the fields of a load without a wrong or missing answer.
var onlyOK = regexp.MustCompile(`^(from-[a-z]+=[0-9]+ )+ok=([0-9]+)$`)

// wantLoad checks that all calls of a load have got their own answers, and how many there were; -1: whatever many.
func wantLoad(t *testing.T, result string, calls int) {
	t.Helper()
	fields := onlyOK.FindStringSubmatch(result)
	if fields == nil || calls >= 0 && fields[2] != strconv.Itoa(calls) {
		t.Errorf("of %d calls: %s", calls, result)
	}
}

// both are the two clients.
func (w *world) both() []*program { return []*program{w.clients["java"], w.clients["node"]} }

// testMixed lets both clients call one server at once, with big calls among small ones. The Node server keeps definitions of classes by name for each connection, so calls of the
// two must not share one; that they would fail there is what the peers do, not what we do.
func (w *world) testMixed(t *testing.T, p path) {
	for _, to := range []string{"java", "node"} {
		const load = "load kind=callback method=slow ms=20 calls=500 at_once=50 timeout=30000 to=%s"
		const big = "call method=mirror size=4000000 timeout=30000 to=%s"
		var loads, bigs []<-chan string
		for _, c := range w.both() {
			loads = append(loads, c.begin(t, load, p.server(to)))
			bigs = append(bigs, c.begin(t, big, p.server(to)))
		}
		for i, c := range w.both() {
			wantLoad(t, c.result(t, loads[i]), 500)
			if got := c.result(t, bigs[i]); got != "ok 4000000 bytes" {
				t.Errorf("%s, big call: %s", c.name, got)
			}
		}
	}
}

// testCounts checks what both mosns have counted of all that: the clients have kept one connection each (the bare ones: one in each version), few
// lead to the servers, exceptions are answers of status 500, and what timed out in a client has ended here too.
func (w *world) testCounts(t *testing.T, p path) {
	for _, c := range []struct {
		name                          string
		clients, exceptions, timeouts int
	}{
		{"java", 2, 4, 2},
		{"node", 2, 2, 2},
		{"bare", 3, len(versions), len(versions)},
	} {
		if n := p.first.stat(t, "http."+c.name+".downstream_cx_total"); n != 1+c.clients {
			t.Errorf("listener %s has seen %d connections of clients, want %d", c.name, n-1, c.clients)
		}
		for stat, want := range map[string]int{
			"upstream_rq_500": c.exceptions, "upstream_rq_timeout": c.timeouts, "upstream_rq_active": 0,
		} {
			if n := p.last.stat(t, "cluster."+c.name+"."+stat); n != want {
				t.Errorf("cluster %s: %s is %d, want %d", c.name, stat, n, want)
			}
		}
		if n := p.last.stat(t, "cluster."+c.name+".upstream_cx_total"); n < 1 || n > 4 {
			t.Errorf("cluster %s has had %d connections, want one or two for each kind of client", c.name, n)
		}
	}
}
