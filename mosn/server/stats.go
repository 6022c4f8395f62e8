package server

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// serverStats are the numbers of the process, under Envoy's names. They are written
// off the loops.
type serverStats struct {
	p      *Proxy
	shared *stats.Shared
	gauges map[string]sdk.Gauge
	init   sdk.Histogram
	loops  []loopStats
}

func newServerStats(p *Proxy) *serverStats {
	root := p.names.Root()
	s := &serverStats{p: p, shared: p.names.Shared(), gauges: map[string]sdk.Gauge{}}
	for _, name := range []string{
		"server.concurrency", "server.days_until_first_cert_expiring", "server.hot_restart_epoch", "server.live",
		"server.memory_allocated", "server.memory_heap_size", "server.memory_physical_size", "server.parent_connections",
		"server.hot_restart_generation", "server.seconds_until_first_ocsp_response_expiring", "server.wip_protos",
		"server.compilation_settings.fips_mode", "listener_manager.workers_pinned",
		"listener_manager.total_filter_chains_draining",
		"server.state", "server.total_connections", "server.uptime", "server.version",
		"cluster_manager.active_clusters", "cluster_manager.warming_clusters",
		"listener_manager.total_listeners_active", "listener_manager.total_listeners_draining",
		"listener_manager.total_listeners_warming", "listener_manager.workers_started",
	} {
		s.gauges[name] = root.Gauge(name)
	}
	s.loops = newLoopStats(root, p.group.Len())
	s.init = root.Histogram("server.initialization_time_ms")
	for _, name := range []string{
		"server.dynamic_unknown_fields", "server.static_unknown_fields",
		"server.debug_assertion_failures", "server.envoy_bug_failures", "server.envoy_notifications", "server.dropped_stat_flushes",
		"listener_manager.listener_in_place_updated",
		"cluster_manager.cluster_updated", "cluster_manager.cluster_updated_via_merge",
		"cluster_manager.update_merge_cancelled", "cluster_manager.update_out_of_merge_window",
	} {
		root.Counter(name)
	}
	s.shared.Add(root.Counter("server.static_unknown_fields"), uint64(p.boot.Load().UnknownFields))
	return s
}

// ready notes how long the start took.
func (s *serverStats) ready(took time.Duration) {
	s.shared.Observe(s.init, uint64(took/time.Millisecond))
}

// update brings the gauges up to date; it comes before each scrape.
func (s *serverStats) update() {
	s.p.clusters.UpdateGauges()
	for i := range s.loops {
		s.loops[i].update(s.shared, s.p.group.Loop(i).Stats())
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	live := uint64(0)
	if s.p.current() == stateLive {
		live = 1
	}
	started := uint64(0)
	if st := state(s.p.state.Load()); st == stateLive || st == stateDraining {
		started = 1
	}
	for name, v := range map[string]uint64{
		"server.hot_restart_generation":            1, // of one: a process is never continued by another
		"server.concurrency":                       uint64(s.p.group.Len()),
		"server.days_until_first_cert_expiring":    1<<32 - 1, // Envoy's "no certificate"
		"server.live":                              live,
		"server.memory_allocated":                  mem.HeapAlloc,
		"server.memory_heap_size":                  mem.HeapSys - mem.HeapReleased,
		"server.memory_physical_size":              residentBytes(),
		"server.state":                             uint64(s.p.current()),
		"server.total_connections":                 s.p.connections(),
		"server.uptime":                            uint64(time.Since(s.p.started) / time.Second),
		"server.version":                           s.version(),
		"cluster_manager.active_clusters":          uint64(s.p.store.Len(config.ClusterType)),
		"cluster_manager.warming_clusters":         uint64(s.p.store.Warming(config.ClusterType)),
		"listener_manager.total_listeners_warming": uint64(s.p.store.Warming(config.ListenerType)),
		"listener_manager.total_listeners_active":  uint64(s.p.listeners.Len()),
		"listener_manager.workers_started":         started,
	} {
		s.shared.SetGauge(s.gauges[name], v)
	}
}

// version is stats_server_version_override, else the first six digits of the commit
// as a number, as in Envoy.
func (s *serverStats) version() uint64 {
	if o := s.p.boot.Load().Proto.GetStatsServerVersionOverride(); o != nil {
		return o.GetValue()
	}
	commit := buildOf().commit
	n, err := strconv.ParseUint(commit[:min(6, len(commit))], 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// residentBytes is the memory that the process holds, 0 where /proc is not there.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64) // the kernel writes numbers
	return pages * uint64(os.Getpagesize())
}
