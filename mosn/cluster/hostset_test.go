package cluster

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/cluster/lb"
	"sofamesh.io/sofamesh/sdk"
)

// hostsOf makes hosts of a text: one word a priority, one letter a host: h healthy,
// d degraded, u unhealthy, - none.
func hostsOf(text string) []*Host {
	var hosts []*Host
	for prio, word := range strings.Fields(text) {
		for _, c := range word {
			if c == '-' {
				continue
			}
			e := &endpoint{priority: uint32(prio), weight: 1, health: map[rune]Health{'h': Healthy, 'd': Degraded, 'u': Unhealthy}[c]}
			h := newHost(e, addr(len(hosts)+1))
			h.slot = uint32(len(hosts))
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// shares prints the groups: priority, what hosts, percent.
func shares(s *HostSet) string {
	var out []string
	from := uint32(0)
	for _, g := range s.groups {
		what := "healthy"
		switch {
		case g.panic:
			what = "all"
		case g.hosts[0].Health() == Degraded:
			what = "degraded"
		}
		out = append(out, fmt.Sprintf("%d %s %d%%", g.hosts[0].Priority(), what, g.upTo-from))
		from = g.upTo
	}
	return strings.Join(out, ", ")
}

// TestPriorityLoad: the rules of Envoy's documentation on priority levels, degraded
// hosts and the panic threshold.
func TestPriorityLoad(t *testing.T) {
	for _, c := range []struct {
		hosts     string
		threshold uint32
		want      string
	}{
		{"", 50, ""},
		{"hhhh", 50, "0 healthy 100%"},
		{"hhhhhhhhhh hhhhhhhhhh", 50, "0 healthy 100%"},
		{"hhhhhhhuuu hhhhhhhhhh", 50, "0 healthy 98%, 1 healthy 2%"},
		{"huuu hhhh", 50, "0 healthy 35%, 1 healthy 65%"},
		{"uuuu hhhh", 50, "1 healthy 100%"},
		{"uuuu huuu hhhh", 50, "1 healthy 35%, 2 healthy 65%"},
		{"- hhhh", 50, "1 healthy 100%"},
		{"hhhd", 50, "0 healthy 100%"},
		{"hddd", 50, "0 healthy 35%, 0 degraded 65%"},
		{"dddd hhhh", 50, "1 healthy 100%"},
		// Not enough: shares are scaled up.
		{"hhuu", 0, "0 healthy 100%"},
		{"huuu huuu", 0, "0 healthy 50%, 1 healthy 50%"},
		// Below the threshold all hosts of a priority are used.
		{"huuu", 50, "0 all 100%"},
		{"huuuuuuuuu hhhuuuuuuu", 30, "0 all 25%, 1 healthy 75%"},
		{"uuuu", 50, "0 all 100%"},
		{"uuuu", 0, ""},
		{"uuuu uuuu", 50, "0 all 50%, 1 all 50%"},
		{"uuu u", 50, "0 all 75%, 1 all 25%"},
		{"- uuu", 50, "1 all 100%"},
	} {
		o := &lbOptions{policy: lb.RoundRobin(), panicThreshold: c.threshold, overprovisioning: 140}
		s := newHostSet(hostsOf(c.hosts), o)
		if got := shares(s); got != c.want {
			t.Errorf("%q, threshold %d: %q, want %q", c.hosts, c.threshold, got, c.want)
		}
		if n := len(s.groups); n > 0 && s.groups[n-1].upTo != 100 {
			t.Errorf("%q: the shares add up to %d", c.hosts, s.groups[n-1].upTo)
		}
	}
}

// TestTinyOverprovisioning: shares that round to nothing still choose somebody.
func TestTinyOverprovisioning(t *testing.T) {
	s := newHostSet(hostsOf("huu"), &lbOptions{policy: lb.RoundRobin(), panicThreshold: 10, overprovisioning: 1})
	if got := shares(s); got != "0 all 100%" {
		t.Errorf("%q", got)
	}
}

// TestChooseFollowsShares counts what is chosen among priorities.
func TestChooseFollowsShares(t *testing.T) {
	w, lc := one(t, "")
	o := &lbOptions{policy: lb.RoundRobin(), panicThreshold: 50, overprovisioning: 140}
	lc.setHosts(newHostSet(hostsOf("huuu hhhh"), o))
	got := [2]int{}
	for range 10_000 {
		got[lc.Choose(&LBContext{}).Priority()]++
	}
	if got[0] < 3300 || got[0] > 3700 {
		t.Errorf("%v, want about 3500 and 6500", got)
	}
	// A hash chooses the priority too, always the same one.
	ctx := LBContext{LBContext: sdk.LBContext{HasHash: true, Hash: 1234}}
	first := lc.Choose(&ctx).Priority()
	for range 100 {
		if lc.Choose(&ctx).Priority() != first {
			t.Fatal("one hash, two priorities")
		}
	}
	w.stats("lb_healthy_panic", 0)
	lc.setHosts(newHostSet(hostsOf("huuu"), o))
	for range 8 {
		lc.Choose(&LBContext{})
	}
	w.stats("lb_healthy_panic", 8)
	lc.setHosts(newHostSet(nil, o))
	if lc.Choose(&LBContext{}) != nil {
		t.Error("a host of none")
	}
	w.stats("upstream_cx_none_healthy", 1)
}

// TestTried: a retry avoids the hosts it has tried, as long as it may look.
func TestTried(t *testing.T) {
	_, lc := one(t, "")
	o := &lbOptions{policy: lb.RoundRobin(), panicThreshold: 50, overprovisioning: 140}
	lc.setHosts(newHostSet(hostsOf("hhh"), o))
	for range 30 {
		first := lc.Choose(&LBContext{})
		if h := lc.Choose(&LBContext{Tried: []*Host{first}, MaxAttempts: 3}); h == first {
			t.Fatal("a host that was tried is chosen")
		}
	}
	all := lc.Hosts().Hosts()
	ctx := LBContext{Tried: all, MaxAttempts: 2}
	if h := lc.Choose(&ctx); h == nil || ctx.Attempt != 2 {
		t.Errorf("with all tried: %v after %d attempts", h, ctx.Attempt)
	}
}

func TestHashKeys(t *testing.T) {
	plain := newHost(&endpoint{}, addr(1))
	named := newHost(&endpoint{hostname: "n"}, addr(1))
	keyed := newHost(&endpoint{hostname: "n", hashKey: "k"}, addr(1))
	for _, c := range []struct {
		h      *Host
		byName bool
		want   string
	}{{plain, false, "10.0.0.1:80"}, {plain, true, "10.0.0.1:80"}, {named, false, "10.0.0.1:80"}, {named, true, "n"}, {keyed, true, "k"}, {keyed, false, "k"}} {
		if got := c.h.key(c.byName); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
