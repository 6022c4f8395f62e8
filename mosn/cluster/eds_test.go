package cluster

import (
	"fmt"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const edsCluster = `name: "c" type: EDS eds_cluster_config { eds_config { path: "/x" } }`

func (w *world) assignment(endpoints string) *Assignment {
	w.t.Helper()
	a, err := CompileAssignment(sdktest.NewCompiler(w.t), sdktest.Text[endpointv3.ClusterLoadAssignment](w.t,
		`cluster_name: "c" endpoints { `+endpoints+` }`))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) assign(endpoints string) {
	w.t.Helper()
	if err := w.m.Assign("c", w.assignment(endpoints)); err != nil {
		w.t.Fatal(err)
	}
	w.Settle()
}

// TestAssign: hosts that stay are the same hosts, with their connections; what is said
// of them is new.
func TestAssign(t *testing.T) {
	w := newWorld(t, 1, nil)
	cfg := w.config(edsCluster)
	cfg.Begin(w.assignment(ep("10.0.0.1", 80, "")))
	if err := w.m.Update([]*Config{cfg}, nil); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	lc := w.m.Local(0).Get("c")
	host := lc.Choose(&LBContext{})
	w.NetOf(0).OnDial(addr(1), looptest.Accept)
	p := start(lc)
	w.Settle()
	conn := w.dialled(1)

	w.assign(ep("10.0.0.1", 80, `health_status: DEGRADED load_balancing_weight { value: 7 }`) + ep("10.0.0.2", 80, "") + ep("10.0.0.2", 80, ""))
	if w.m.Local(0).Get("c") != lc {
		t.Error("the cluster was made anew")
	}
	if n := len(lc.Hosts().Hosts()); n != 2 { // the same address counts once
		t.Errorf("%d hosts", n)
	}
	if lc.Hosts().Hosts()[0] != host || host.Weight() != 7 || host.Health() != Degraded {
		t.Errorf("weight %d, health %v", host.Weight(), host.Health())
	}
	conn.Send(ok)
	w.Settle()
	p.expect(t, `head 200; "ok" end`)
	if conn.Closed() {
		t.Error("the connection of a host that stays was closed")
	}
	w.stats("membership_change", 2, "membership_total", 2, "membership_degraded", 1)

	w.assign(ep("10.0.0.2", 80, "") + ep("10.0.0.1", 80, ""))
	w.stats("membership_change", 2) // nobody came, nobody went
	w.assign(ep("10.0.0.2", 80, ""))
	if !conn.Closed() {
		t.Error("the connection of a host that is gone is kept")
	}
	w.assign("")
	if lc.Choose(&LBContext{}) != nil {
		t.Error("a host of nothing")
	}
	w.stats("membership_total", 0)
}

// TestAssignCostsWhatItChanges: no other cluster is touched.
func TestAssignCostsWhatItChanges(t *testing.T) {
	w := newWorld(t, 1, nil)
	var cfgs []*Config
	for i := range 300 {
		cfgs = append(cfgs, w.config(named(fmt.Sprint("c", i), ep("10.0.0.1", 80, ""))))
	}
	cfgs = append(cfgs, w.config(edsCluster))
	if err := w.m.Update(cfgs, nil); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	before := w.m.Local(0).Get("c7")
	sets := w.m.clusters["c7"].hosts
	w.assign(ep("10.0.0.2", 80, ""))
	if w.m.Local(0).Get("c7") != before || w.m.clusters["c7"].hosts != sets {
		t.Error("another cluster was touched")
	}
}
