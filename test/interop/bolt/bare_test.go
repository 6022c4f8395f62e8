package bolt

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// versions are the forms that Bolt's own client can write; the last two share a connection, for CRC is chosen for each call.
var versions = []string{"protocol=1", "protocol=2", "protocol=2 version=2", "protocol=2 version=2 crc=true"}

// testBare calls without SOFARPC in every version, one after the other and all at once.
func (w *world) testBare(t *testing.T, p path) {
	c := w.clients["java"]
	for i, version := range versions {
		told := fmt.Sprintf("tell-%d-%s", i, strings.ReplaceAll(p.name, " ", "-"))
		for _, call := range []struct{ command, want string }{
			{"kind=sync text=a", "ok java:a"},
			{"kind=future text=b", "ok java:b"},
			{"kind=callback text=c", "ok java:c"},
			{"kind=oneway text=" + told, "ok sent"},
			{"kind=sync text=fail-a", "error InvokeServerException "},
			{"kind=sync text=slow-a timeout=200", "error InvokeTimeoutException "},
		} {
			if got := c.do(t, "bare %s %s to=%s", version, call.command, p.bare); !strings.HasPrefix(got, call.want) {
				t.Errorf("%s %s: got %q, want %q", version, call.command, got, call.want)
			}
		}
		w.java.await(t, "told "+told)
	}
	var answers []<-chan string
	for i := range 100 {
		answers = append(answers, c.begin(t, "bare %s kind=callback text=mix-%d to=%s", versions[i%len(versions)], i, p.bare))
	}
	for i, answer := range answers {
		if got, want := c.result(t, answer), fmt.Sprintf("ok java:mix-%d", i); got != want {
			t.Errorf("mixed, %s: got %q, want %q", versions[i%len(versions)], got, want)
		}
	}
}

// testHeartbeats puts relays before and behind a mosn that sends heartbeats itself. Those of a client are answered by mosn, in the client's version,
// and those of mosn by the server; both connections stay.
func (w *world) testHeartbeats(t *testing.T) {
	cases := []struct{ name, addr, command string }{
		{"java", w.java.addr, "call"},
		{"node", w.node.addr, "call"},
	}
	for _, version := range versions {
		cases = append(cases, struct{ name, addr, command string }{"bare " + version, w.bare, "bare " + version})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			behind := newRelay(t, c.addr)
			m := startMosn(t, w.mosn, []listener{{"l", everything("c", "")}},
				[]cluster{{Name: "c", Addresses: []string{behind.addr}, Metadata: "heartbeat_interval: 0.3s, heartbeat_timeout: 0.3s"}})
			before := newRelay(t, m.addr("l"))
			w.pingPong(t, c.command, before, behind)
			if n := m.stat(t, "http.l.downstream_rq_total"); n != 2 {
				t.Errorf("mosn took %d requests for 2 calls: heartbeats are none", n)
			}
		})
		t.Run(c.name+", direct", func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, c.addr)
			w.pingPong(t, c.command, r, r)
		})
	}
}

// pingPong makes two calls and waits for heartbeats between them.
func (w *world) pingPong(t *testing.T, command string, before, behind *relay) {
	t.Helper()
	c := w.clients["java"]
	first := c.do(t, "%s text=a to=%s", command, before.addr)
	for _, r := range []*relay{before, behind} {
		eventually(t, "heartbeats are answered", func() bool { return r.pongs.Load() >= 3 })
	}
	second := c.do(t, "%s text=a to=%s", command, before.addr)
	if first != second || !strings.HasSuffix(first, ":a") {
		t.Errorf("before heartbeats %q, after %q", first, second)
	}
	for _, r := range []*relay{before, behind} {
		if n := r.conns.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		if pings, pongs, strange := r.pings.Load(), r.pongs.Load(), r.strange.Load(); pongs > pings || strange > 0 {
			t.Errorf("%d heartbeats, %d answers, %d streams that are not Bolt", pings, pongs, strange)
		}
	}
}

// testFrozen stops a server without ending it: heartbeats without answers end the connection long before the deadline of the calls on it.
func (w *world) testFrozen(t *testing.T) {
	s := w.nodeServer(t, "frozen", peers.FreePort(t))
	m := startMosn(t, w.mosn, []listener{{"l", everything("c", "")}},
		[]cluster{{Name: "c", Addresses: []string{s.addr}, Metadata: "heartbeat_interval: 0.1s, heartbeat_timeout: 0.3s"}})
	c := w.clients["java"]
	call := func() string { return c.do(t, "call text=a timeout=60000 to=%s", m.addr("l")) }
	if got := call(); got != "ok frozen:a" {
		t.Errorf("before: %s", got)
	}
	s.Signal(syscall.SIGSTOP)
	wantError(t, call(), "sync", lost)
	s.Signal(syscall.SIGCONT)
	if got := call(); got != "ok frozen:a" {
		t.Errorf("after: %s", got)
	}
}
