package sdktest

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
)

// Host runs one filter alone: a chain of one place in memory. It makes the streams and
// counts what the filter counts.
type Host struct {
	*Compiler
	// Cluster is where requests go; "" for nowhere. Its stats are under "cluster.<name>".
	ClusterName string
	// Route is the filter's configuration for the route of every request, nil for none.
	Route sdk.RouteConfig
	// RouteValues is what RouteValue returns, by field.
	RouteValues map[string]any
	// Members is what Stream.Members returns.
	Members map[string]sdk.Members
	// Failing is what Stream.Failing returns.
	Failing bool
	// Limit is the most bytes that Collect may hold; 0 is no limit.
	Limit int

	name     string
	config   sdk.HTTPConfig
	clusters map[string]sdk.Scope
	pool     *sdk.BufferPool
	state    any // of the filter's place, kept from stream to stream
	conn     map[string]*any
	values   map[uint32]uint64
	observed map[uint32][]uint64
}

// NewHost compiles f with a configuration, which must be valid.
func NewHost(tb testing.TB, f *sdk.HTTPFilter, config proto.Message) *Host {
	tb.Helper()
	c := NewCompiler(tb)
	c.AddHTTPFilter(f)
	m, err := c.Unpack(Any(tb, config))
	if err != nil {
		tb.Fatal(err)
	}
	compiled, err := f.Compile(c, m)
	if err != nil {
		tb.Fatal(err)
	}
	h := &Host{
		Compiler: c, name: f.Name, ClusterName: "c", config: compiled, pool: sdk.NewBufferPool(64), clusters: map[string]sdk.Scope{},
		conn:   map[string]*any{},
		values: map[uint32]uint64{}, observed: map[uint32][]uint64{},
	}
	tb.Cleanup(func() {
		compiled.Close()
		if n := h.pool.InUse(); n != 0 {
			tb.Errorf("%d chunks are in use at the end", n)
		}
	})
	return h
}

// RouteConfig compiles a configuration of a route and makes it that of every request.
func (h *Host) RouteConfig(f *sdk.HTTPFilter, config proto.Message) {
	h.tb.Helper()
	r, err := f.CompileRoute(h.Compiler, config)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.Route = r
}

// Counted returns the value of a counter or gauge, 0 when nobody asked for its name.
func (h *Host) Counted(name string) uint64 { return h.values[h.Scope().ID(name)] }

// Observed returns what a histogram was given, in order.
func (h *Host) Observed(name string) []uint64 { return h.observed[h.Scope().ID(name)] }

// scopeOf is the same for one cluster, as in the proxy.
func (h *Host) scopeOf(cluster string) sdk.Scope {
	if h.clusters[cluster] == nil {
		h.clusters[cluster] = h.Scope().Scope("cluster").Scope(cluster)
	}
	return h.clusters[cluster]
}

// Reconnect has the streams from now on come over another connection.
func (h *Host) Reconnect() { clear(h.conn) }

// Changed gives all clusters new scopes, as a change of their configuration does.
func (h *Host) Changed() { clear(h.clusters) }

// Stream begins a stream. The filter's state comes from the stream before, as in the
// proxy, so one stream at a time.
func (h *Host) Stream() *Stream {
	s := &Stream{host: h}
	s.request = direction{s: s, toServer: true, out: &s.ToServer}
	s.response = direction{s: s, out: &s.ToClient}
	s.request.hold.Init(h.pool)
	s.response.hold.Init(h.pool)
	s.chunk.Init(h.pool)
	s.info.Protocol = sdk.HTTP2
	s.filter = h.config.New(s)
	h.tb.Cleanup(s.End)
	return s
}
