package config

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
)

func clusterOf(name string, seconds int64) Resource {
	return Resource{Type: ClusterType, Proto: &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(0), AltStatName: "", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	}, Where: func(path string) string { return "test:" + path }}.timeout(seconds)
}

func (r Resource) timeout(seconds int64) Resource {
	r.Proto.(*clusterv3.Cluster).ConnectTimeout = &durationpb.Duration{Seconds: seconds}
	return r
}

func listenerOf(t *testing.T, name, stat string) Resource {
	t.Helper()
	config, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix: stat, RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return Resource{Type: ListenerType, Proto: &listenerv3.Listener{
		Name: name,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "fake", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config},
		}}}},
	}}
}

func names(keys []Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func want(t *testing.T, r *Result, applied, unchanged, failed string) {
	t.Helper()
	var bad []Key
	for _, f := range r.Failed {
		bad = append(bad, f.Key)
	}
	if names(r.Applied) != applied || names(r.Unchanged) != unchanged || names(bad) != failed {
		t.Errorf("applied %q, unchanged %q, failed %q; want %q, %q, %q\n%v", names(r.Applied), names(r.Unchanged), names(bad),
			applied, unchanged, failed, r.Err())
	}
}

func TestApplyCompilesOnlyWhatChanged(t *testing.T) {
	s := newStore(t, nil)
	want(t, s.Apply(Batch{Set: []Resource{clusterOf("a", 1), clusterOf("b", 1)}}), "a b", "", "")
	before := s.Entries(ClusterType)
	want(t, s.Apply(Batch{Set: []Resource{clusterOf("a", 1), clusterOf("b", 2)}}), "b", "a", "")
	after := s.Entries(ClusterType)
	if after[0].Active.value != before[0].Active.value {
		t.Error("the unchanged cluster was compiled again")
	}
	if after[1].Active.value == before[1].Active.value {
		t.Error("the changed cluster was not compiled again")
	}
	if s.Len(ClusterType) != 2 {
		t.Errorf("%d clusters", s.Len(ClusterType))
	}
}

func TestBadResourceKeepsItsLastGood(t *testing.T) {
	s := newStore(t, nil)
	want(t, s.Apply(Batch{Set: []Resource{clusterOf("a", 1), clusterOf("b", 1)}}), "a b", "", "")
	good := s.Entries(ClusterType)[0]
	r := s.Apply(Batch{Set: []Resource{clusterOf("a", -1), clusterOf("b", 2)}})
	want(t, r, "b", "", "a")
	if text := r.Err().Error(); !strings.HasPrefix(text, `test:connect_timeout: cluster "a": connect_timeout: value must be greater than`) {
		t.Error(text)
	}
	e := s.Entries(ClusterType)[0]
	if e.Active.value != good.Active.value || !proto.Equal(e.Active.Proto(), good.Active.Proto()) || e.Refused == nil || e.Attempt == nil {
		t.Errorf("after a refusal the entry is %+v", e)
	}
	// The last good one comes again: nothing is compiled, the refusal is forgotten.
	want(t, s.Apply(Batch{Set: []Resource{clusterOf("a", 1)}}), "", "a", "")
	if e := s.Entries(ClusterType)[0]; e.Refused != nil {
		t.Errorf("still refused: %v", e.Refused)
	}
}

func TestNeverGood(t *testing.T) {
	s := newStore(t, nil)
	want(t, s.Apply(Batch{Set: []Resource{clusterOf("a", -1)}}), "", "", "a")
	if s.Len(ClusterType) != 0 || s.hasCluster("a") {
		t.Error("a cluster that never compiled is in force")
	}
	want(t, s.Apply(Batch{Set: []Resource{clusterOf("a", 1)}}), "a", "", "")
}

func TestRemove(t *testing.T) {
	s := newStore(t, nil)
	s.Apply(Batch{Set: []Resource{clusterOf("a", 1), clusterOf("b", 1)}})
	r := s.Apply(Batch{Remove: []Key{{ClusterType, "a"}, {ClusterType, "none"}}})
	if names(r.Removed) != "a" || s.Len(ClusterType) != 1 {
		t.Errorf("removed %v, %d left", r.Removed, s.Len(ClusterType))
	}
}

func TestSameNameTwice(t *testing.T) {
	s := newStore(t, nil)
	r := s.Apply(Batch{Set: []Resource{clusterOf("a", 1), clusterOf("a", 2)}})
	want(t, r, "a", "", "a")
	if !strings.Contains(r.Err().Error(), "this name is there twice") {
		t.Error(r.Err())
	}
}

func TestListenerOnlyWhenItChanged(t *testing.T) {
	fake := &fakeFilter{}
	reg, err := NewRegistry(Extensions{NetworkFilters: []stream.NetworkFilter{fake.filter()}})
	if err != nil {
		t.Fatal(err)
	}
	s := NewStore(Options{Registry: reg, Stats: stats.NewStore(stats.Options{}), Loops: 2})
	for _, step := range []struct {
		stat     string
		compiled int
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"a", 3}} {
		if r := s.Apply(Batch{Set: []Resource{listenerOf(t, "l", step.stat)}}); r.Err() != nil {
			t.Fatal(r.Err())
		}
		if fake.compiled != step.compiled {
			t.Errorf("after %q the filter was compiled %d times, want %d", step.stat, fake.compiled, step.compiled)
		}
	}
	if e := s.Entries(ListenerType); len(e) != 1 || e[0].Key.Name != "l" {
		t.Errorf("entries are %v", e)
	}
}

func TestUnknownResourceType(t *testing.T) {
	s := newStore(t, nil)
	r := s.Apply(Batch{Set: []Resource{{Type: "x/acme.Thing", Proto: &corev3.Node{}}, {Type: ClusterType, Proto: &corev3.Node{}}}})
	if len(r.Failed) != 2 || !strings.Contains(r.Err().Error(), "resources of this type are not built yet") ||
		!strings.Contains(r.Err().Error(), "envoy.config.core.v3.Node is no resource") {
		t.Errorf("%+v", r)
	}
}

// TestEdges: a listener remembers the clusters that it names, known or not.
func TestEdges(t *testing.T) {
	boot, err := Load(Source{YAML: strings.Replace(hcmListener(routerFilter), "route: {cluster: one}}]}]",
		"route: {weighted_clusters: {clusters: [{name: one, weight: 1}, {name: later, weight: 1}]}}}]}], validate_clusters: false", 1)}, newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, boot)
	if err := s.Apply(boot.Resources()).Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Entries(ListenerType)[0].Active.Clusters, " "); got != "later one" {
		t.Errorf("edges are %q", got)
	}
}
