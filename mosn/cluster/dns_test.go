package cluster

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// zone is a resolver that answers what a test says, and notes when it was asked.
type zone struct {
	mu      sync.Mutex
	answers map[string]string // name to addresses, or an error after !
	asked   []string
	now, at int
	block   chan struct{} // lookups wait for it, if set
}

func (z *zone) set(name, answer string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.answers == nil {
		z.answers = map[string]string{}
	}
	z.answers[name] = answer
}

func (z *zone) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	z.asked = append(z.asked, network+" "+host)
	answer, block := z.answers[host], z.block
	z.now++
	z.at = max(z.at, z.now)
	z.mu.Unlock()
	defer func() {
		z.mu.Lock()
		z.now--
		z.mu.Unlock()
	}()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case answer == "":
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case answer[0] == '!':
		return nil, errors.New(answer[1:])
	}
	var out []netip.Addr
	for _, s := range strings.Fields(answer) {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func (z *zone) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

func dnsCluster(fields string, names ...string) string {
	var hosts strings.Builder
	for _, n := range names {
		hosts.WriteString(ep(n, 80, ""))
	}
	return `name: "c" type: STRICT_DNS ` + fields + ` load_assignment { cluster_name: "c" endpoints { ` + hosts.String() + ` } }`
}

// addresses returns the hosts that a loop knows.
func (w *world) addresses() string {
	var out []string
	for _, h := range w.m.Local(0).Get("c").Hosts().Hosts() {
		out = append(out, h.Address())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// later lets time pass for the resolver and then turns the loops.
func (w *world) later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	w.Settle()
}

// dnsTest runs a test whose time is not the real one.
func dnsTest(t *testing.T, f func(t *testing.T, w *world, z *zone)) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{}
		f(t, newWorld(t, 1, z), z)
	})
}

func (w *world) expectAddresses(want string) {
	w.t.Helper()
	if got := w.addresses(); got != want {
		w.t.Errorf("hosts %q, want %q", got, want)
	}
}

func TestStrictDNS(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.set("a.test", "10.0.0.2 10.0.0.1")
		z.block = make(chan struct{})
		w.set(dnsCluster("", "a.test"))
		if w.m.Local(0).Get("c").Choose(&LBContext{}) != nil {
			t.Error("a host before the first answer")
		}
		close(z.block)
		w.later(0)
		w.expectAddresses("10.0.0.1:80 10.0.0.2:80")
		h := w.m.Local(0).Get("c").Choose(&LBContext{})
		if h.Hostname() != "a.test" {
			t.Errorf("hostname %q", h.Hostname())
		}
		w.stats("update_attempt", 1, "update_success", 1, "membership_total", 2, "membership_healthy", 2, "update_no_rebuild", 0)

		w.later(4999 * time.Millisecond)
		if z.count() != 1 {
			t.Error("asked again before dns_refresh_rate")
		}
		z.set("a.test", "10.0.0.1 10.0.0.2") // the same, in another order
		w.later(2 * time.Millisecond)
		w.stats("update_attempt", 2, "update_success", 2, "update_no_rebuild", 1)

		kept := w.m.Local(0).Get("c").Hosts().Hosts()[0]
		z.set("a.test", "10.0.0.1 10.0.0.3")
		w.later(5 * time.Second)
		w.expectAddresses("10.0.0.1:80 10.0.0.3:80")
		if got := w.m.Local(0).Get("c").Hosts().Hosts()[0]; got != kept {
			t.Error("a host that stays is another one now")
		}
	})
}

// TestDNSFailureKeepsHosts: a resolver that fails takes nothing away; a name that has
// no address does.
func TestDNSFailureKeepsHosts(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.set("a.test", "10.0.0.1")
		w.set(dnsCluster("", "a.test"))
		w.later(0)
		z.set("a.test", "!the server is broken")
		w.later(5 * time.Second)
		w.expectAddresses("10.0.0.1:80")
		w.stats("update_failure", 1, "update_success", 1, "update_empty", 0)
		z.set("a.test", "")
		w.later(5 * time.Second)
		w.expectAddresses("")
		w.stats("update_empty", 1, "membership_total", 0)
		z.set("a.test", "10.0.0.9")
		w.later(5 * time.Second)
		w.expectAddresses("10.0.0.9:80")
	})
}

// TestDNSRemovalDrains: connections to an address that is gone are closed when they
// are free.
func TestDNSRemovalDrains(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		w.OnDial(addr(1), looptest.Accept)
		w.OnDial(addr(2), looptest.Accept)
		z.set("a.test", "10.0.0.1")
		w.set(dnsCluster("", "a.test"))
		w.later(0)
		lc := w.m.Local(0).Get("c")
		start(lc)
		busy := start(lc)
		w.Settle()
		idlePeer, busyPeer := w.dialled(1), w.dialled(1)
		idlePeer.Send(ok)
		w.Settle()
		z.set("a.test", "10.0.0.2")
		w.later(5 * time.Second)
		if !idlePeer.Closed() || busyPeer.Closed() {
			t.Fatalf("idle closed %v, busy closed %v", idlePeer.Closed(), busyPeer.Closed())
		}
		// The new host has the slot of the old one; they must not be mixed up.
		fresh := start(lc)
		if fresh.Host().Address() != "10.0.0.2:80" {
			t.Errorf("the new request goes to %s", fresh.Host().Address())
		}
		w.Settle()
		busyPeer.Send(ok)
		w.dialled(2).Send(ok)
		w.Settle()
		busy.expect(t, `head 200; "ok" end`)
		fresh.expect(t, `head 200; "ok" end`)
		if !busyPeer.Closed() {
			t.Error("a connection to a host that is gone is kept")
		}
		w.stats("upstream_cx_active", 1)
	})
}

// TestStartAfterRemoval: a request whose host went away between the choice and the
// start still goes to that host, not to the one that has its slot.
func TestStartAfterRemoval(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		w.OnDial(addr(1), looptest.Accept)
		w.OnDial(addr(3), looptest.Accept)
		z.set("a.test", "10.0.0.1")
		w.set(dnsCluster("", "a.test"))
		w.later(0)
		lc := w.m.Local(0).Get("c")
		old := lc.Choose(&LBContext{})
		for _, next := range []string{"10.0.0.2", "10.0.0.3"} {
			z.set("a.test", next)
			w.later(5 * time.Second)
		}
		fresh := start(lc)
		if fresh.Host().slot != old.slot {
			t.Fatal("the slot of a host that is gone is not used again")
		}
		w.Settle()
		w.dialled(3).Send(ok)
		w.Settle()
		late := &probe{lc: lc}
		lc.Start(&late.Call, old, nil, late, Default)
		w.Settle()
		peer := w.dialled(1)
		peer.Send(ok)
		w.Settle()
		late.expect(t, `head 200; "ok" end`)
		if !peer.Closed() {
			t.Error("the connection to a host that is gone is kept")
		}
	})
}

func TestDNSBackOff(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.set("a.test", "!broken")
		w.set(dnsCluster("dns_refresh_rate { seconds: 100 } dns_failure_refresh_rate { base_interval { seconds: 1 } max_interval { seconds: 4 } }", "a.test"))
		w.later(0)
		w.later(time.Second) // the first pause is below 1 s
		n := z.count()
		if n < 2 {
			t.Fatalf("asked %d times", n)
		}
		w.later(100 * time.Second)
		if got := z.count() - n; got < 25 || got > 120 { // pauses up to 4 s, about 2 s each
			t.Errorf("asked %d times in 100 s", got)
		}
		z.set("a.test", "10.0.0.1")
		w.later(4 * time.Second)
		n = z.count()
		w.later(95 * time.Second)
		if z.count() > n {
			t.Error("after a success the pause is not dns_refresh_rate")
		}
		w.expectAddresses("10.0.0.1:80")
	})
}

func TestDNSFixedAndMoreNames(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.set("a.test", "10.0.0.1")
		z.set("b.test", "10.0.0.1 10.0.0.5")
		z.block = make(chan struct{})
		w.set(dnsCluster("", "a.test", "10.0.0.7", "b.test"))
		w.expectAddresses("10.0.0.7:80")
		close(z.block)
		w.later(0)
		w.expectAddresses("10.0.0.1:80 10.0.0.5:80 10.0.0.7:80") // an address of two names is one host
	})
}

func TestInitialized(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		is := func() bool {
			select {
			case <-w.m.Initialized():
				return true
			default:
				return false
			}
		}
		if !is() {
			t.Error("not initialised without clusters")
		}
		z.block = make(chan struct{})
		z.set("a.test", "10.0.0.1")
		z.set("b.test", "!broken")
		first := w.m.Initialized()
		w.set(dnsCluster("", "a.test", "b.test", "c.test"))
		if w.later(time.Second); is() {
			t.Error("initialised before the first answers")
		}
		close(z.block)
		w.later(0)
		if !is() {
			t.Error("a failure and a name without address do not count as answers")
		}
		<-first

		z.mu.Lock()
		z.block = make(chan struct{})
		z.mu.Unlock()
		w.set(dnsCluster("wait_for_warm_on_init { value: false }", "a.test"))
		if !is() {
			t.Error("waits though wait_for_warm_on_init is off")
		}
		w.set(dnsCluster("", "d.test"))
		if is() {
			t.Error("a replaced cluster does not warm")
		}
		if err := w.m.Update(nil, []string{"c"}); err != nil {
			t.Fatal(err)
		}
		if !is() {
			t.Error("waits for a cluster that was removed")
		}
		close(z.block)
		w.later(0)
	})
}

// TestForgotten: names of removed clusters are not resolved any more, and a late
// answer changes nothing.
func TestForgotten(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.set("a.test", "10.0.0.1")
		w.set(dnsCluster("", "a.test"))
		w.later(0)
		z.mu.Lock()
		z.block = make(chan struct{})
		z.mu.Unlock()
		w.later(5 * time.Second) // a lookup hangs
		n := z.count()
		w.set(static(""))
		close(z.block)
		w.later(time.Minute)
		if z.count() != n {
			t.Errorf("asked %d times more", z.count()-n)
		}
		w.expectAddresses("10.0.0.1:80")
		w.stats("membership_change", 2)
	})
}

func TestLookupsAreBounded(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.block = make(chan struct{})
		names := make([]string, 50)
		for i := range names {
			names[i] = strings.Repeat("n", i+1) + ".test"
			z.set(names[i], netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}).String())
		}
		w.set(dnsCluster("", names...))
		w.later(time.Second)
		if z.at != maxLookups {
			t.Errorf("%d lookups at a time", z.at)
		}
		close(z.block)
		w.later(time.Second)
		w.stats("membership_total", 50)
	})
}

// TestCloseEndsLookups: Close does not wait for a resolver that hangs, and leaves no
// goroutine (synctest would say).
func TestCloseEndsLookups(t *testing.T) {
	dnsTest(t, func(t *testing.T, w *world, z *zone) {
		z.block = make(chan struct{})
		w.set(dnsCluster("", "a.test"))
		w.later(time.Second)
		w.m.Close()
		w.m.Close()
	})
}

func TestFamilies(t *testing.T) {
	all := []netip.Addr{
		netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("10.0.0.1"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1"),
	}
	for _, c := range []struct {
		f             clusterv3.Cluster_DnsLookupFamily
		network, want string
		only4         string
	}{
		{clusterv3.Cluster_AUTO, "ip", "[2001:db8::1 2001:db8::2]", "[10.0.0.1 10.0.0.2]"},
		{clusterv3.Cluster_V4_PREFERRED, "ip", "[10.0.0.1 10.0.0.2]", "[10.0.0.1 10.0.0.2]"},
		{clusterv3.Cluster_ALL, "ip", "[10.0.0.1 10.0.0.2 2001:db8::1 2001:db8::2]", "[10.0.0.1 10.0.0.2]"},
		{clusterv3.Cluster_V4_ONLY, "ip4", "[10.0.0.1 10.0.0.2 2001:db8::1 2001:db8::2]", "[10.0.0.1 10.0.0.2]"},
		{clusterv3.Cluster_V6_ONLY, "ip6", "[10.0.0.1 10.0.0.2 2001:db8::1 2001:db8::2]", "[10.0.0.1 10.0.0.2]"},
	} {
		if got := network(c.f); got != c.network {
			t.Errorf("%v asks for %s", c.f, got)
		}
		if got := strings.Join(texts(choose(all, c.f)), " "); "["+got+"]" != c.want {
			t.Errorf("%v: %s", c.f, got)
		}
		if got := strings.Join(texts(choose(all[1:3], c.f)), " "); "["+got+"]" != c.only4 {
			t.Errorf("%v, IPv4 only: %s", c.f, got)
		}
	}
}

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}
