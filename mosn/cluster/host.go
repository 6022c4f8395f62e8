package cluster

import (
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/sdk"
)

// Health is whether a host may be chosen.
type Health uint32

// The states of health. Degraded hosts get traffic when there are not enough
// healthy ones.
const (
	Healthy Health = iota
	Degraded
	Unhealthy
)

// endpoint is what the configuration says of a host, or of the name that hosts are
// found by. It is immutable: a host about which something else is said gets another.
type endpoint struct {
	addr     eventloop.Addr // unset for a name
	name     string         // to resolve, "" when addr is set
	port     uint16
	hostname string // for auto_host_rewrite
	hashKey  string // filter metadata "envoy.lb", key "hash_key"
	weight   uint32
	priority uint32
	health   Health
	metadata *sdk.Metadata
	locality *corev3.Locality
	canary   bool
}

// Host is an upstream host. It is shared by all loops. What is said of it (weight,
// metadata, priority) may change with a new assignment, which all loops see at once;
// its address, counters and connections stay. It lives from the update that made it
// known to the last reference, through all host sets between.
type Host struct {
	shared.Host
	said    atomic.Pointer[endpoint]
	addr    eventloop.Addr
	address string
	slot    uint32 // index of its pools on each loop; unique among the hosts of a host set
	status  atomic.Uint32
	http1   atomic.Bool // chosen by the host where the cluster leaves it to it
}

func newHost(e *endpoint, addr eventloop.Addr) *Host {
	h := &Host{addr: addr, address: addr.String()}
	h.said.Store(e)
	h.status.Store(uint32(e.health))
	return h
}

// update takes over what is said of the host now. The health that it was given by
// others stays, unless the configuration speaks of another one than before.
func (h *Host) update(e *endpoint) {
	if old := h.said.Swap(e); old.health != e.health {
		h.status.Store(uint32(e.health))
	}
}

// Addr returns where the host is.
func (h *Host) Addr() eventloop.Addr { return h.addr }

// Address returns ip:port or the path of the Unix socket.
func (h *Host) Address() string { return h.address }

// Hostname returns the endpoint's hostname, or the name it was found by, "" when it
// has neither.
func (h *Host) Hostname() string { return h.said.Load().hostname }

// Weight returns the load-balancing weight, at least 1.
func (h *Host) Weight() uint32 { return h.said.Load().weight }

// Priority returns the host's priority, 0 being the first.
func (h *Host) Priority() uint32 { return h.said.Load().priority }

// Metadata returns the endpoint's metadata, nil when it has none.
func (h *Host) Metadata() *sdk.Metadata { return h.said.Load().metadata }

// Locality returns where the host says it is; nil when it does not say.
func (h *Host) Locality() *corev3.Locality { return h.said.Load().locality }

// Canary reports whether metadata "envoy.lb" marks the host as a canary.
func (h *Host) Canary() bool { return h.said.Load().canary }

// Health returns the host's present state. Any goroutine.
func (h *Host) Health() Health { return Health(h.status.Load()) }

// key is what consistent hashing hashes.
func (h *Host) key(byHostname bool) string {
	switch e := h.said.Load(); {
	case e.hashKey != "":
		return e.hashKey
	case byHostname && e.hostname != "":
		return e.hostname
	}
	return h.address
}
