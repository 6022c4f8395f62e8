package config

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
)

// The benchmarks of this file are the bars of a change: what is measured is from the
// resource's coming to all loops having it. `go test -bench Change -benchtime 20x`.

// mesh is a store with n clusters of ten endpoints each, on running loops.
type mesh struct {
	group *eventloop.Group
	store *Store
	path  string // of a file that is there
	n     int
}

func newMesh(b *testing.B, n int) *mesh {
	b.Helper()
	const loops = 2
	group, err := eventloop.NewGroup(eventloop.Config{Loops: loops})
	if err != nil {
		b.Fatal(err)
	}
	names := stats.NewStore(stats.Options{})
	locals := make([]*stats.Local, loops)
	for i := range locals {
		locals[i] = stats.NewLocal()
	}
	clusters := cluster.NewManager(cluster.Options{Group: group, Stats: locals, Shared: names.Shared()})
	group.Start()
	m := &mesh{group: group, n: n, path: filepath.Join(b.TempDir(), "eds.yaml")}
	m.path = write(b, "eds.yaml", "version_info: none")
	m.store = NewStore(Options{Registry: newRegistry(b), Stats: names, Loops: loops, Clusters: clusters, Node: &corev3.Node{Id: "me", Cluster: "us"}})
	b.Cleanup(func() {
		m.store.Close()
		clusters.Close()
		group.Stop()
	})
	m.deliver(b, 0)
	<-m.store.Initialized()
	for i := range n {
		if err := m.endpoints(i, 0); err != nil {
			b.Fatal(err)
		}
	}
	m.sync(b)
	return m
}

// resource is cluster i; the generation makes it another content.
func (m *mesh) resource(i, generation int) Resource {
	raw, err := proto.Marshal(&clusterv3.Cluster{
		Name: fmt.Sprintf("cluster-%d", i), ConnectTimeout: durationpb.New(time.Duration(1+generation) * time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{Path: m.path}},
		}},
	})
	if err != nil {
		panic(err)
	}
	return Resource{Type: ClusterType, Name: fmt.Sprintf("cluster-%d", i), Raw: raw}
}

// deliver brings all clusters in one update.
func (m *mesh) deliver(b *testing.B, generation int) {
	b.Helper()
	u := &Update{Version: fmt.Sprint(generation)}
	for i := range m.n {
		u.Resources = append(u.Resources, m.resource(i, generation))
	}
	m.update(b, u)
}

func (m *mesh) update(b *testing.B, u *Update) {
	b.Helper()
	s := m.store
	if len(s.feeds) == 0 {
		s.feeds, s.follows = []*feed{{store: s, typ: ClusterType, stats: newUpdateStats(s.o.Stats, s.o.Stats.Root(), updateReload)}}, true
	}
	if err := s.deliverAll(s.feeds[0], u); err != nil {
		b.Fatal(err)
	}
}

// endpoints brings the endpoints of cluster i.
func (m *mesh) endpoints(i, generation int) error {
	pb := &endpointv3.ClusterLoadAssignment{ClusterName: fmt.Sprintf("cluster-%d", i), Endpoints: []*endpointv3.LocalityLbEndpoints{{}}}
	for j := range 10 {
		pb.Endpoints[0].LbEndpoints = append(pb.Endpoints[0].LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address:       fmt.Sprintf("10.%d.%d.%d", i>>8&255, i&255, j+1),
					PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(8000 + generation%1000)},
				}}},
			}},
		})
	}
	raw, err := proto.Marshal(pb)
	if err != nil {
		return err
	}
	sub := m.store.subs[subKey{fileSpec{path: m.path}.key(), EndpointType, pb.GetClusterName()}]
	return m.store.deliver(sub, &Update{Version: "1", Resources: []Resource{{Type: EndpointType, Name: pb.GetClusterName(), Raw: raw}}})
}

// sync waits until the loops have it all.
func (m *mesh) sync(b *testing.B) {
	b.Helper()
	if err := m.store.o.Clusters.Sync(); err != nil {
		b.Fatal(err)
	}
}

// overSizes runs a benchmark with few and with many clusters.
func overSizes(b *testing.B, f func(b *testing.B, m *mesh)) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("clusters=%d", n), func(b *testing.B) {
			m := newMesh(b, n)
			b.ResetTimer()
			f(b, m)
		})
	}
}

func BenchmarkChangeEndpoints(b *testing.B) {
	overSizes(b, func(b *testing.B, m *mesh) {
		for i := range b.N {
			if err := m.endpoints(m.n/2, i+1); err != nil {
				b.Fatal(err)
			}
			m.sync(b)
		}
	})
}

func BenchmarkChangeCluster(b *testing.B) {
	overSizes(b, func(b *testing.B, m *mesh) {
		for i := range b.N {
			if err := m.store.Apply(Batch{Set: []Resource{m.resource(m.n/2, i+1)}}).Err(); err != nil {
				b.Fatal(err)
			}
			m.sync(b)
		}
	})
}

// BenchmarkChangeOneOfAll is one changed cluster in an update that has all of them, as
// a file has, or xDS in its state-of-the-world form.
func BenchmarkChangeOneOfAll(b *testing.B) {
	overSizes(b, func(b *testing.B, m *mesh) {
		u := &Update{Version: "all"}
		for i := range m.n {
			u.Resources = append(u.Resources, m.resource(i, 0))
		}
		for i := range b.N {
			u.Resources[m.n/2] = m.resource(m.n/2, i+1)
			m.update(b, u)
			m.sync(b)
		}
	})
}

// BenchmarkChangeAll replaces every cluster, and reports the turns of a loop that took
// longer than 10 ms meanwhile.
func BenchmarkChangeAll(b *testing.B) {
	m := newMesh(b, 10_000)
	before := m.late()
	b.ResetTimer()
	for i := range b.N {
		m.deliver(b, i+1)
		m.sync(b)
	}
	b.ReportMetric(float64(m.late()-before)/float64(b.N), "late-turns/op")
}

func (m *mesh) late() (n uint64) {
	for i := range m.group.Len() {
		n += m.group.Loop(i).Stats().Missed
	}
	return n
}

// BenchmarkRoutes5000 reports what a table of 5000 routes holds in memory.
func BenchmarkRoutes5000(b *testing.B) {
	rc := &routev3.RouteConfiguration{Name: "r"}
	for i := range 500 {
		vh := &routev3.VirtualHost{Name: fmt.Sprintf("v%d", i), Domains: []string{fmt.Sprintf("service-%d.example.com", i), fmt.Sprintf("service-%d", i)}}
		for j := range 10 {
			vh.Routes = append(vh.Routes, &routev3.Route{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: fmt.Sprintf("/api/v%d/", j)}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: fmt.Sprintf("outbound|80||service-%d", i)}}},
			})
		}
		rc.VirtualHosts = append(rc.VirtualHosts, vh)
	}
	raw, err := proto.Marshal(rc)
	if err != nil {
		b.Fatal(err)
	}
	rc = nil
	s := NewStore(Options{Registry: newRegistry(b), Stats: stats.NewStore(stats.Options{}), Loops: 1})
	res := Resource{Type: RouteType, Name: "r", Raw: raw}
	var keep *Version
	before := heap()
	b.ResetTimer()
	for range b.N {
		v, _, err := s.compile(&res, Key{RouteType, "r"}, [32]byte{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		keep = v
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/(1<<20), "MB")
	runtime.KeepAlive(keep)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
