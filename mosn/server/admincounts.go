package server

import (
	"net"
	"net/http"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// adminCounts are http.admin.* and listener.admin.*, as if admin were a listener of the
// proxy. They are written by net/http's goroutines.
type adminCounts struct {
	shared            *stats.Shared
	http              stream.Stats
	total, destroy    sdk.Counter // of the listener
	mainTotal         sdk.Counter // the same for its one thread
	active, mainActiv sdk.Gauge
}

func newAdminCounts(names *stats.Store) adminCounts {
	root := names.Root()
	l := root.Scope("listener.admin")
	return adminCounts{
		shared: names.Shared(), http: stream.NewNames().WithoutHTTP2(root, l, "admin"),
		total: l.Counter("downstream_cx_total"), destroy: l.Counter("downstream_cx_destroy"),
		mainTotal: l.Counter("main_thread.downstream_cx_total"),
		active:    l.Gauge("downstream_cx_active"), mainActiv: l.Gauge("main_thread.downstream_cx_active"),
	}
}

// connection is told of the life of a connection.
func (c *adminCounts) connection(_ net.Conn, state http.ConnState) {
	begun, ended := state == http.StateNew, state == http.StateClosed || state == http.StateHijacked
	counters, by := []sdk.Counter{c.http.CxTotal, c.http.CxHTTP1Total, c.total, c.mainTotal}, int64(1)
	switch {
	case ended:
		counters, by = []sdk.Counter{c.http.CxDestroy, c.destroy}, -1
	case !begun:
		return
	}
	for _, counter := range counters {
		c.shared.Inc(counter)
	}
	for _, g := range []sdk.Gauge{c.http.CxActive, c.http.CxHTTP1Active, c.active, c.mainActiv} {
		c.shared.AddGauge(g, by)
	}
}

// asked counts a request, answered its answer.
func (c *adminCounts) asked() {
	c.shared.Inc(c.http.RqTotal)
	c.shared.Inc(c.http.RqHTTP1Total)
	c.shared.AddGauge(c.http.RqActive, 1)
}

func (c *adminCounts) answered(status int) {
	c.shared.AddGauge(c.http.RqActive, -1)
	for _, a := range []*stream.Answers{&c.http.Answers, &c.http.Listener} {
		c.shared.Inc(a.Completed)
		if class := status/100 - 1; class >= 0 && class < len(a.Class) {
			c.shared.Inc(a.Class[class])
		}
	}
}
