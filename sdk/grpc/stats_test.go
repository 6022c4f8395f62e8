package grpc

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// bare is a filter that does nothing: what is tested counts on its streams.
type bare struct{ sdk.PassThrough }

func (bare) New(sdk.Stream) sdk.Filter { return bare{} }
func (bare) Close()                    {}

func newHost(t *testing.T) *sdktest.Host {
	return sdktest.NewHost(t, &sdk.HTTPFilter{
		Name: "bare", Config: &wrapperspb.BoolValue{},
		Compile: func(sdk.Compiler, proto.Message) (sdk.HTTPConfig, error) { return bare{}, nil },
	}, wrapperspb.Bool(true))
}

func TestStats(t *testing.T) {
	h := newHost(t)
	s := h.Stream()
	cluster, scope := s.Cluster()
	st := NewStats(StatsOptions{Protocol: "grpc", Limit: 10})
	calls := st.Method(cluster, scope, "a.B", "C")
	if names := h.Scope().Names(); len(names) != 0 {
		t.Errorf("names before anything was counted: %q", names)
	}
	for _, status := range []string{"0", "0", "12", "17", "00", "2147483648", "-1", "x"} {
		calls.Ended(s, status)
	}
	calls.Requests(s, 2)
	calls.Responses(s, 3)
	calls.Took(s, 40)
	st.All(cluster, scope).Ended(s, "16")
	for name, want := range map[string]uint64{
		"a.B.C.0": 2, "a.B.C.12": 1, "a.B.C.success": 2, "a.B.C.failure": 6, "a.B.C.total": 8,
		"a.B.C.request_message_count": 2, "a.B.C.response_message_count": 3, "16": 1, "failure": 1, "total": 1,
	} {
		if got := h.Counted("cluster.c.grpc." + name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
	if n := len(h.Scope().Names()); n != 11 {
		t.Errorf("%d names: %q", n, h.Scope().Names())
	}
	if got := h.Observed("cluster.c.grpc.a.B.C.upstream_rq_time"); !slices.Equal(got, []uint64{40}) {
		t.Errorf("took %v", got)
	}
}

// TestStatsBounded: names that a client makes up end at the limit.
func TestStatsBounded(t *testing.T) {
	h := newHost(t)
	s := h.Stream()
	cluster, scope := s.Cluster()
	st := NewStats(StatsOptions{Protocol: "grpc-web", Limit: 3, ReplaceDots: true})
	st.Method(cluster, scope, strings.Repeat("x", maxMethodName), "y").Ended(s, "0")
	for i := range 10 {
		st.Method(cluster, scope, "a.b", fmt.Sprint("m", i)).Ended(s, "0")
	}
	st.Method(cluster, scope, "a.b", "m1").Ended(s, "0")
	for name, want := range map[string]uint64{"a_b.m0.0": 1, "a_b.m1.0": 2, "a_b.m2.0": 1, "a_b.m3.0": 0, "0": 8} {
		if got := h.Counted("cluster.c.grpc-web." + name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
	// A cluster that has changed gives its names back, and counts go on.
	h.Changed()
	_, scope = s.Cluster()
	for _, m := range []string{"m1", "m7", "m8", "m9"} {
		st.Method(cluster, scope, "a.b", m).Ended(s, "0")
	}
	if st.named.Load() != 3 || h.Counted("cluster.c.grpc-web.a_b.m1.0") != 3 || h.Counted("cluster.c.grpc-web.0") != 9 {
		t.Errorf("%d names, %q", st.named.Load(), h.Scope().Names())
	}
}

// TestStatsTogether looks the same up on several loops at once.
func TestStatsTogether(t *testing.T) {
	h := newHost(t)
	s := h.Stream()
	cluster, scope := s.Cluster()
	st := NewStats(StatsOptions{Protocol: "grpc", Limit: 50})
	got := make([][]*Calls, 4)
	var wg sync.WaitGroup
	for loop := range got {
		wg.Go(func() {
			for i := range 60 {
				got[loop] = append(got[loop], st.Method(cluster, scope, "s", fmt.Sprint(i)))
			}
		})
	}
	wg.Wait()
	for loop := range got {
		for i, c := range got[loop] {
			all := c == st.All(cluster, scope)
			if all != (st.Method(cluster, scope, "s", fmt.Sprint(i)) == st.All(cluster, scope)) || !all && c != got[0][i] && got[0][i] != st.All(cluster, scope) {
				t.Fatalf("loop %d counts method %d elsewhere", loop, i)
			}
		}
	}
	if st.named.Load() != 50 {
		t.Errorf("%d methods", st.named.Load())
	}
}

func TestStatsAllocs(t *testing.T) {
	h := newHost(t)
	s := h.Stream()
	cluster, scope := s.Cluster()
	st := NewStats(StatsOptions{Protocol: "grpc", Limit: 1})
	path := "/a.B/C?q"
	run := func() {
		service, method, _ := Method(path)
		calls := st.Method(cluster, scope, service, method)
		calls.Requests(s, 1)
		calls.Ended(s, "0")
		st.Method(cluster, scope, service, "other").Ended(s, "no status")
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
