package cluster

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

func named(name, hosts string) string {
	return fmt.Sprintf(`name: %q load_assignment { cluster_name: "x" endpoints { %s } }`, name, hosts)
}

func TestAddReplaceRemove(t *testing.T) {
	w := newWorld(t, 2, nil)
	early := w.m.Slot("later")
	l := w.m.Local(0)
	if l.Get("later") != nil || l.At(early) != nil || l.At(99) != nil {
		t.Fatal("a cluster that nobody made")
	}
	w.set(named("later", ep("10.0.0.1", 80, "")), named("other", ep("10.0.0.2", 80, "")))
	for i := range 2 {
		if lc := w.m.Local(i).At(early); lc == nil || lc != w.m.Local(i).Get("later") || lc.Name() != "later" {
			t.Fatalf("loop %d does not know the cluster", i)
		}
	}
	if !w.m.Has("later") || w.m.Slot("later") != early {
		t.Error("Has or Slot")
	}
	old := l.At(early)
	w.set(named("later", ep("10.0.0.3", 80, "")))
	if lc := l.At(early); lc == old || lc.Choose(&LBContext{}).Address() != "10.0.0.3:80" {
		t.Error("not replaced")
	}
	if err := w.m.Update(nil, []string{"later", "nobody"}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if l.At(early) != nil || l.Get("later") != nil || w.m.Has("later") || l.Get("other") == nil {
		t.Error("not removed, or too much")
	}
	if w.m.Slot("later") != early {
		t.Error("the name has another number now")
	}
}

func TestSameConfigChangesNothing(t *testing.T) {
	w := newWorld(t, 1, nil)
	cfg := w.config(static(""))
	for range 2 {
		if err := w.m.Update([]*Config{cfg}, nil); err != nil {
			t.Fatal(err)
		}
		w.Settle()
	}
	w.stats("membership_change", 1)
}

// TestUpdatesBeforeTheLoopsRun: ten thousand clusters do not fill a mailbox, and
// come in the order in which they were made.
func TestUpdatesBeforeTheLoopsRun(t *testing.T) {
	w := newWorld(t, 2, nil)
	for i := range 3000 {
		cfg := w.config(named("c", ep("10.0.0.1", 80+i, "")))
		if err := w.m.Update([]*Config{cfg}, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.Settle()
	for i := range 2 {
		if got := w.m.Local(i).Get("c").Choose(&LBContext{}).Address(); got != "10.0.0.1:3079" {
			t.Errorf("loop %d: %s", i, got)
		}
	}
}

// TestReplacedClusterDrains: idle connections are closed at once, an exchange under
// way ends in peace, and its connection with it.
func TestReplacedClusterDrains(t *testing.T) {
	for _, remove := range []bool{false, true} {
		w, lc := one(t, "")
		a, b := start(lc), start(lc)
		w.Settle()
		idle, busy := w.dialled(1), w.dialled(1)
		idle.Send(ok)
		w.Settle()
		waiting := &probe{lc: lc}
		if remove {
			if err := w.m.Update(nil, []string{"c"}); err != nil {
				t.Fatal(err)
			}
			w.Settle()
		} else {
			w.set(static("connect_timeout { seconds: 9 }"))
		}
		if !idle.Closed() || busy.Closed() {
			t.Fatalf("idle closed %v, busy closed %v", idle.Closed(), busy.Closed())
		}
		busy.Send(ok)
		w.Settle()
		if !busy.Closed() {
			t.Error("the connection of an old cluster is kept")
		}
		a.expect(t, `head 200; "ok" end`)
		b.expect(t, `head 200; "ok" end`)

		// A stream that had chosen before goes on with the old cluster.
		waiting.start()
		w.Settle()
		late := w.dialled(1)
		late.Send(ok)
		w.Settle()
		waiting.expect(t, `head 200; "ok" end`)
		if !late.Closed() {
			t.Error("the late connection is kept")
		}
	}
}

// TestLimitsHoldOverLoops: breakers count what all loops do together.
func TestLimitsHoldOverLoops(t *testing.T) {
	for _, loops := range []int{1, 4} {
		w := newWorld(t, loops, nil)
		for i := range loops {
			w.NetOf(i).OnDial(addr(1), looptest.Accept)
		}
		w.set(static(`circuit_breakers { thresholds { max_requests { value: 6 } max_connections { value: 4 } max_pending_requests { value: 8 } max_retries { value: 3 } } }`))
		admitted, overflow := 0, 0
		for i := range 40 {
			p := start(w.m.Local(i % loops).Get("c"))
			if p.err == ErrPendingOverflow {
				overflow++
			} else {
				admitted++
			}
		}
		if admitted != 8 || overflow != 32 { // all wait: nothing is connected yet
			t.Errorf("%d loops: %d wait, %d overflow", loops, admitted, overflow)
		}
		w.Settle()
		w.stats("upstream_cx_total", 4, "upstream_cx_active", 4, "upstream_rq_active", 4, "upstream_rq_pending_active", 4,
			"circuit_breakers.default.cx_open", 1)
		retries := 0
		for i := range 10 {
			if w.m.Local(i % loops).Get("c").TryRetry(Default) {
				retries++
			}
		}
		if retries != 3 {
			t.Errorf("%d loops: %d retries", loops, retries)
		}
		w.stats("circuit_breakers.default.rq_retry_open", 1)
		w.m.Local(0).Get("c").EndRetry(Default)
		w.stats("circuit_breakers.default.rq_retry_open", 0)
	}
}

// TestConnectionLimitLeavesOne: a loop without a connection gets one over the limit,
// for nobody else would serve what waits there.
func TestConnectionLimitLeavesOne(t *testing.T) {
	w := newWorld(t, 2, nil)
	w.NetOf(0).OnDial(addr(1), looptest.Accept)
	w.NetOf(1).OnDial(addr(1), looptest.Accept)
	w.set(static(`circuit_breakers { thresholds { max_connections { value: 1 } } }`))
	p, q := start(w.m.Local(0).Get("c")), start(w.m.Local(1).Get("c"))
	more := start(w.m.Local(1).Get("c"))
	w.Settle()
	if !p.Ready() || !q.Ready() || more.Ready() {
		t.Errorf("ready: %v %v %v", p.Ready(), q.Ready(), more.Ready())
	}
	w.stats("upstream_cx_active", 2, "upstream_cx_overflow", 2)
}

func TestSetHealth(t *testing.T) {
	w := newWorld(t, 2, nil)
	w.set(named("c", ep("10.0.0.1", 80, "")+ep("10.0.0.2", 80, "")))
	hosts := w.m.Local(0).Get("c").Hosts().Hosts()
	if err := w.m.SetHealth("c", hosts[0], Unhealthy); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	for i := range 2 {
		lc := w.m.Local(i).Get("c")
		for range 5 {
			if h := lc.Choose(&LBContext{}); h != hosts[1] {
				t.Fatalf("loop %d: an unhealthy host is chosen", i)
			}
		}
	}
	w.stats("membership_total", 2, "membership_healthy", 1)
	before := w.m.Local(0).Get("c").Hosts()
	if err := w.m.SetHealth("c", hosts[0], Unhealthy); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if w.m.Local(0).Get("c").Hosts() != before {
		t.Error("a new host set though nothing changed")
	}
}

func TestCountResponse(t *testing.T) {
	w, lc := one(t, "")
	lc.CountResponse(200, false)
	lc.CountResponse(503, true)
	lc.CountResponse(599, true)
	lc.CountResponse(450, false) // not registered: its class alone
	lc.CountResponse(0, false)
	lc.ObserveTime(3, true)
	w.stats("upstream_rq_completed", 5, "upstream_rq_2xx", 1, "upstream_rq_200", 1, "external.upstream_rq_200", 1,
		"external.upstream_rq_completed", 3, "internal.upstream_rq_503", 1, "internal.upstream_rq_5xx", 2, "upstream_rq_4xx", 1,
		"external.upstream_rq_4xx", 1, "internal.upstream_rq_completed", 2)
	lc.Inc(RqTimeout)
	w.stats("upstream_rq_timeout", 1)
}

func TestWriteClusters(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.OnDial(addr(1), looptest.Accept)
	w.set(`name: "b" alt_stat_name: "alt" circuit_breakers { thresholds { max_retries { value: 8 } } } load_assignment { cluster_name: "x"
		endpoints { priority: 0 locality { region: "r" zone: "z" sub_zone: "s" } `+
		`lb_endpoints { endpoint { hostname: "h" address { socket_address { address: "10.0.0.1" port_value: 80 } } } load_balancing_weight { value: 3 } } } }`,
		named("a", ep("10.0.0.2", 80, "health_status: UNHEALTHY")))
	start(w.m.Local(0).Get("b"))
	w.Settle()
	var out strings.Builder
	if err := w.m.WriteClusters(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.HasPrefix(text, "a::observability_name::a\n") {
		t.Errorf("begins with %.40q", text)
	}
	for _, line := range []string{
		"b::observability_name::alt", "b::default_priority::max_connections::1024", "b::default_priority::max_retries::8",
		"b::high_priority::max_retries::3", "b::added_via_api::false", "b::10.0.0.1:80::cx_active::1", "b::10.0.0.1:80::cx_total::1",
		"b::10.0.0.1:80::rq_active::1", "b::10.0.0.1:80::rq_total::1", "b::10.0.0.1:80::hostname::h", "b::10.0.0.1:80::health_flags::healthy",
		"b::10.0.0.1:80::weight::3", "b::10.0.0.1:80::region::r", "b::10.0.0.1:80::zone::z", "b::10.0.0.1:80::sub_zone::s",
		"b::10.0.0.1:80::canary::false", "b::10.0.0.1:80::priority::0", "b::10.0.0.1:80::success_rate::-1",
		"a::10.0.0.2:80::health_flags::/failed_eds_health",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

// TestRemovedClusterGauges: what was open in an old cluster does not stay open.
func TestRemovedClusterGauges(t *testing.T) {
	w, lc := one(t, "circuit_breakers { thresholds { max_requests { value: 1 } } }")
	p := start(lc)
	w.Settle()
	w.stats("circuit_breakers.default.rq_open", 1, "membership_total", 1)
	if err := w.m.Update(nil, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.stats("circuit_breakers.default.rq_open", 0, "membership_total", 0)
	p.Cancel(sdk.ResetLocal)
}

func BenchmarkUpdate(b *testing.B) {
	w := newWorld(b, 1, nil)
	cfgs := make([]*Config, 1000)
	for i := range cfgs {
		cfgs[i] = w.config(named(fmt.Sprintf("c%d", i), ep("10.0.0.1", 80, "")))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.m.Update(cfgs, nil); err != nil {
			b.Fatal(err)
		}
		w.Settle()
		b.StopTimer()
		var names []string
		for _, c := range cfgs {
			names = append(names, c.name)
		}
		_ = w.m.Update(nil, names)
		w.Settle()
		b.StartTimer()
	}
}
