package config

import (
	"time"

	"sofamesh.io/sofamesh/mosn/cluster/lb"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// updateKind is which of Envoy's numbers a subscription has beside the common ones.
type updateKind uint8

const (
	updatePlain  updateKind = iota
	updateReload            // config_reload and its time
	updateEmpty             // update_empty
	updateRoutes            // both
	updateFilter            // config_reload, config_fail, config_conflict
)

// updateStats count what comes of a subscription, under Envoy's names. Handles that a
// kind does not have are zero and count nothing.
type updateStats struct {
	shared *stats.Shared
	scope  sdk.Scope

	attempt, success, failure, rejected, timeout sdk.Counter
	empty, reload, failedConfig                  sdk.Counter
	at, version, reloadAt                        sdk.Gauge
}

func newUpdateStats(store *stats.Store, scope sdk.Scope, kind updateKind) updateStats {
	s := updateStats{
		shared: store.Shared(), scope: scope, attempt: scope.Counter("update_attempt"), success: scope.Counter("update_success"),
		failure: scope.Counter("update_failure"), rejected: scope.Counter("update_rejected"),
		timeout: scope.Counter("init_fetch_timeout"), at: scope.Gauge("update_time"), version: scope.Gauge("version"),
	}
	stats.SetText(scope, "version_text", "")
	switch kind {
	case updatePlain:
	case updateReload:
		s.reload, s.reloadAt = scope.Counter("config_reload"), scope.Gauge("config_reload_time_ms")
	case updateEmpty:
		s.empty = scope.Counter("update_empty")
	case updateRoutes:
		s.empty = scope.Counter("update_empty")
		s.reload, s.reloadAt = scope.Counter("config_reload"), scope.Gauge("config_reload_time_ms")
	case updateFilter:
		s.reload, s.failedConfig = scope.Counter("config_reload"), scope.Counter("config_fail")
		scope.Counter("config_conflict") // which cannot be: a filter has one configuration
	}
	return s
}

func (s *updateStats) inc(c sdk.Counter) { s.shared.Inc(c) }

// accepted counts an update that is in force as a whole.
func (s *updateStats) accepted(version string) {
	s.inc(s.success)
	s.shared.SetGauge(s.at, uint64(time.Now().UnixMilli()))
	s.shared.SetGauge(s.version, lb.Hash(version))
	stats.SetText(s.scope, "version_text", version)
}

// reloaded counts one that has changed something.
func (s *updateStats) reloaded() {
	s.inc(s.reload)
	s.shared.SetGauge(s.reloadAt, uint64(time.Now().UnixMilli()))
}

// changeStats count the changes of clusters and listeners, under Envoy's names.
type changeStats struct {
	shared *stats.Shared
	of     map[string]changeCounters // by type
}

type changeCounters struct{ added, modified, removed, created, failed sdk.Counter }

func newChangeStats(store *stats.Store) changeStats {
	if store == nil {
		return changeStats{}
	}
	root := store.Root()
	c := changeStats{shared: store.Shared(), of: map[string]changeCounters{}}
	for typ, prefix := range map[string]string{ClusterType: "cluster_manager.cluster_", ListenerType: "listener_manager.listener_"} {
		c.of[typ] = changeCounters{
			added: root.Counter(prefix + "added"), modified: root.Counter(prefix + "modified"), removed: root.Counter(prefix + "removed"),
		}
	}
	l := c.of[ListenerType]
	l.failed = root.Counter("listener_manager.listener_create_failure")
	l.created = root.Counter("listener_manager.listener_create_success")
	root.Counter("listener_manager.listener_stopped")
	c.of[ListenerType] = l
	return c
}

func (c *changeStats) set(typ string, known bool) {
	if known {
		c.count(c.of[typ].modified)
	} else {
		c.count(c.of[typ].added)
	}
}

// created counts what is in force now, once for each loop, as Envoy does.
func (c *changeStats) created(typ string, loops int) {
	if c.shared != nil {
		c.shared.Add(c.of[typ].created, uint64(loops))
	}
}

func (c *changeStats) removed(typ string) { c.count(c.of[typ].removed) }
func (c *changeStats) refused(typ string) { c.count(c.of[typ].failed) }

func (c *changeStats) count(k sdk.Counter) {
	if c.shared != nil {
		c.shared.Inc(k)
	}
}
