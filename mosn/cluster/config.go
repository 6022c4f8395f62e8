package cluster

import (
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/transport/tls"
	"sofamesh.io/sofamesh/sdk"
)

// Envoy's defaults.
const (
	defaultConnectTimeout   = 5 * time.Second
	defaultIdleTimeout      = time.Hour
	defaultBufferLimit      = 1 << 20
	defaultPanicThreshold   = 50
	defaultOverprovisioning = 140
	defaultMaxConnections   = 1024
	defaultMaxPending       = 1024
	defaultMaxRequests      = 1024
	defaultMaxRetries       = 3
	defaultBudgetPercent    = 20
	defaultBudgetMin        = 3
	defaultDNSRefresh       = 5 * time.Second
)

// Config is a compiled cluster: immutable, shared by all loops.
type Config struct {
	name, statName string
	kind           *Kind
	scope          sdk.Scope
	block          stats.Block
	h2             stats.HTTP2                 // counts nothing where HTTP is not spoken by HTTP/2
	remaining      [numPriorities]*stats.Block // nil unless track_remaining

	http  sdk.CodecConfig   // for requests that are HTTP
	http2 sdk.CodecConfig   // for those that are HTTP/2, where that makes a difference; nil: it does not
	auto  sdk.CodecConfig   // HTTP/1, where hosts choose between it and http2; else nil
	rpc   []sdk.CodecConfig // for those of other protocols
	dial  eventloop.DialConfig
	tls   *tls.Client // nil: plain text
	high  int         // bytes that may be queued to a host; 0 is unlimited

	idleTimeout time.Duration // 0: none
	maxDuration time.Duration // 0: none
	maxRequests uint32        // on one connection; 0: unlimited

	lb         lbOptions
	thresholds [numPriorities]thresholds
	mux        Multiplex             // for RPC protocols that share connections
	mux2       Multiplex             // for HTTP/2
	perHost    [numPriorities]uint32 // most shared connections to a host, over all loops; 0: each loop has its own
	paired     bool                  // connections are tied to downstream connections
	hosts      *Assignment           // of the configuration, or what EDS said first; nil: not yet known
	dns        *dnsOptions           // nil unless STRICT_DNS
	eds        bool                  // hosts come by Assign
	edsName    string                // by which EDS knows them
	metadata   *sdk.Metadata
}

// Name returns the cluster's name.
func (c *Config) Name() string { return c.name }

// StatName returns what the cluster is called in stats: alt_stat_name, else its name.
func (c *Config) StatName() string { return c.statName }

// Metadata returns the cluster's metadata, nil when it has none.
func (c *Config) Metadata() *sdk.Metadata { return c.metadata }

// EDSName returns the name by which EDS knows the hosts, "" for another type.
func (c *Config) EDSName() string { return c.edsName }

// Begin sets the hosts that a cluster of type EDS begins with. It comes before Update.
func (c *Config) Begin(a *Assignment) { c.hosts = a }

// CompileOptions are what a cluster takes from outside its own message.
type CompileOptions struct {
	// Kind is shared by all clusters of a process; nil makes one for this cluster.
	Kind *Kind
	// BindConfig is the default for upstream_bind_config (the bootstrap's
	// cluster_manager), nil when there is none.
	BindConfig *corev3.BindConfig
	// RPC are the codecs beside HTTP's, compiled for this side; the clusters of a
	// process share them.
	RPC []sdk.CodecConfig
}

// StatPrefix returns the prefix of a cluster's stats, "cluster.<name>", as Envoy
// makes it: of alt_stat_name if that is set, without colons. The Stats of the
// Compiler given to Compile must have it.
func StatPrefix(pb *clusterv3.Cluster) string {
	name := pb.GetAltStatName()
	if name == "" {
		name = pb.GetName()
	}
	return "cluster." + strings.NewReplacer("://", "_", ":/", "_", ":", "_", "\x00", "_").Replace(name)
}

// Compile makes a Config of a message that has passed its own validation and the
// check against Fields. It asks c for the codec "http1" and for the extension
// messages; c.Stats is the cluster's own scope. It runs off the loops.
func Compile(c sdk.Compiler, pb *clusterv3.Cluster, o CompileOptions) (*Config, error) {
	cfg := &Config{
		name: pb.GetName(), kind: o.Kind, metadata: sdk.NewMetadata(pb.GetMetadata().GetFilterMetadata()), rpc: o.RPC,
		paired: pb.GetConnectionPoolPerDownstreamConnection(),
	}
	if cfg.kind == nil {
		cfg.kind = NewKind()
	}
	cfg.statName = strings.TrimPrefix(StatPrefix(pb), "cluster.")
	cfg.dial.Timeout = duration(pb.GetConnectTimeout(), defaultConnectTimeout)
	cfg.high = int(uint32Or(pb.GetPerConnectionBufferLimitBytes(), defaultBufferLimit))
	for _, step := range []func(sdk.Compiler, *clusterv3.Cluster) error{
		cfg.compileProtocol, cfg.compileTransport, cfg.compileMultiplex, cfg.compileBalancing, cfg.compileBreakers,
		cfg.compileHosts,
	} {
		if err := step(c, pb); err != nil {
			return nil, err
		}
	}
	bind := pb.GetUpstreamBindConfig()
	if bind == nil {
		bind = o.BindConfig
	}
	if err := cfg.compileBind(c.At("upstream_bind_config"), bind); err != nil {
		return nil, err
	}
	cfg.scope = c.Stats()
	cfg.block = stats.BlockOf(cfg.scope, cfg.kind.names)
	if cfg.http2 != nil || cfg.http.Codec().Name == "http2" {
		cfg.h2 = cfg.kind.http2.HTTP2(cfg.scope)
	}
	return cfg, nil
}

func duration(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}

func uint32Or(v *wrapperspb.UInt32Value, def uint32) uint32 {
	if v == nil {
		return def
	}
	return v.GetValue()
}

// thresholds are the circuit breakers' limits for one priority.
type thresholds struct {
	connections, pending, requests, retries uint32

	budget         bool
	budgetFraction float64
	budgetMin      int64
}

// breakers returns what loops share, set up.
func (c *Config) newCluster() *cluster {
	cl := &cluster{cfg: c}
	for i := range cl.breakers {
		b, t := &cl.breakers[i], &c.thresholds[i]
		b.Connections.SetMax(int64(t.connections))
		b.Pending.SetMax(int64(t.pending))
		b.Requests.SetMax(int64(t.requests))
		b.Retries.SetMax(int64(t.retries))
		if t.budget {
			b.SetBudget(t.budgetFraction, t.budgetMin)
		}
	}
	return cl
}

func (c *Config) compileBreakers(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	if err := c.compilePerHost(comp.At("circuit_breakers.per_host_thresholds"), pb); err != nil {
		return err
	}
	var seen [numPriorities]bool
	for i := range c.thresholds {
		c.thresholds[i] = thresholds{
			connections: defaultMaxConnections, pending: defaultMaxPending,
			requests: defaultMaxRequests, retries: defaultMaxRetries,
		}
	}
	for _, t := range pb.GetCircuitBreakers().GetThresholds() {
		prio := Default
		if t.GetPriority() == corev3.RoutingPriority_HIGH {
			prio = High
		}
		if seen[prio] {
			continue // Envoy takes the first one
		}
		seen[prio] = true
		c.thresholds[prio] = thresholdsOf(t)
		if t.GetTrackRemaining() {
			b := stats.BlockOf(comp.Stats(), c.kind.remaining[prio])
			c.remaining[prio] = &b
		}
	}
	return nil
}

// compilePerHost takes the limits of connections to one host. They are kept by giving
// the connections to as few loops, so they hold for shared connections only.
func (c *Config) compilePerHost(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	var seen [numPriorities]bool
	for _, t := range pb.GetCircuitBreakers().GetPerHostThresholds() {
		if c.paired {
			return comp.Errorf("is not possible with connection_pool_per_downstream_connection: each client has connections of its own")
		}
		if !c.multiplexes() {
			return comp.Errorf("is supported for multiplexed protocols only yet")
		}
		if c.http.Codec().Mode == sdk.Serial {
			comp.Warnf("connections of HTTP/1 are not limited by it")
		}
		if t.GetMaxPendingRequests() != nil || t.GetMaxRequests() != nil || t.GetMaxRetries() != nil || t.GetRetryBudget() != nil {
			return comp.Errorf("only max_connections is supported")
		}
		prio := Default
		if t.GetPriority() == corev3.RoutingPriority_HIGH {
			prio = High
		}
		if !seen[prio] {
			seen[prio] = true
			c.perHost[prio] = max(uint32Or(t.GetMaxConnections(), 0), uint32(btoi(t.GetMaxConnections() != nil)))
		}
	}
	return nil
}

func thresholdsOf(t *clusterv3.CircuitBreakers_Thresholds) thresholds {
	out := thresholds{
		connections: uint32Or(t.GetMaxConnections(), defaultMaxConnections),
		pending:     uint32Or(t.GetMaxPendingRequests(), defaultMaxPending),
		requests:    uint32Or(t.GetMaxRequests(), defaultMaxRequests),
		retries:     uint32Or(t.GetMaxRetries(), defaultMaxRetries),
	}
	if b := t.GetRetryBudget(); b != nil {
		out.budget = true
		out.budgetFraction = defaultBudgetPercent / 100.
		if p := b.GetBudgetPercent(); p != nil {
			out.budgetFraction = p.GetValue() / 100
		}
		out.budgetMin = int64(uint32Or(b.GetMinRetryConcurrency(), defaultBudgetMin))
	}
	return out
}
