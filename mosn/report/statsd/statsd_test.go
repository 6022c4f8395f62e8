package statsd

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func snapshot() *sdk.StatsSnapshot {
	name := func(full, common string, tags ...sdk.StatTag) sdk.StatName {
		return sdk.StatName{Full: full, Common: common, Tags: tags}
	}
	cluster := sdk.StatTag{Name: "envoy.cluster_name", Value: "outbound|80||a"}
	return &sdk.StatsSnapshot{
		Counters: []sdk.Stat{
			{StatName: name("cluster.outbound|80||a.upstream_rq_200", "cluster.upstream_rq", sdk.StatTag{Name: "envoy.response_code", Value: "200"}, cluster), Value: 9, Delta: 3},
			{StatName: name("server.x", "server.x"), Value: 1},
		},
		Gauges: []sdk.Stat{{StatName: name("server.live", "server.live"), Value: 1}},
		Histograms: []sdk.StatHistogram{{
			StatName: name("http.a.downstream_rq_time", "http.downstream_rq_time", sdk.StatTag{Name: "envoy.http_conn_manager_prefix", Value: "a"}),
			Interval: sdk.StatDistribution{Count: 6, Buckets: []sdk.StatBucket{
				{Lower: 0, Width: 0, Count: 1}, {Lower: 3, Width: 0.1, Count: 4}, {Lower: 120, Width: 10, Count: 1}}},
			Total: sdk.StatDistribution{Count: 7, Buckets: []sdk.StatBucket{{Lower: 1, Width: 0.1, Count: 1}}},
		}},
	}
}

const plain = `P.cluster.outbound_80__a.upstream_rq_200:3|c
P.server.x:0|c
P.server.live:1|g
P.http.a.downstream_rq_time:0|ms
P.http.a.downstream_rq_time:3|ms|@0.25
P.http.a.downstream_rq_time:125|ms
`

func compiled(t *testing.T, ext sdk.StatsSink, m proto.Message, c sdk.Compiler) sdk.StatsFlusher {
	t.Helper()
	s, err := ext.Compile(c, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func flush(t *testing.T, s sdk.StatsFlusher) {
	t.Helper()
	if err := s.Flush(t.Context(), snapshot()); err != nil {
		t.Fatal(err)
	}
}

// receive listens for datagrams; read returns n of them.
func receive(t *testing.T) (address string, read func(n int) []string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String(), func(n int) (got []string) {
		t.Helper()
		b := make([]byte, 64<<10)
		for range n {
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			k, _, err := conn.ReadFrom(b)
			if err != nil {
				t.Fatalf("after %q: %v", got, err)
			}
			got = append(got, string(b[:k]))
		}
		return got
	}
}

func socket(address string) string {
	a := netip.MustParseAddrPort(address)
	return `address { socket_address { address: "` + a.Addr().String() + `" port_value: ` + address[strings.LastIndexByte(address, ':')+1:] + ` } }`
}

func TestUDP(t *testing.T) {
	for prefix, want := range map[string]string{"": "envoy", `prefix: "p"`: "p"} {
		address, read := receive(t)
		s := compiled(t, Sink(), sdktest.Text[metricsv3.StatsdSink](t, socket(address)+prefix), sdktest.NewCompiler(t))
		flush(t, s)
		got := strings.Join(read(6), "\n") + "\n"
		if want := strings.ReplaceAll(plain, "P.", want+"."); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestDogStatsD(t *testing.T) {
	want := []string{
		"envoy.cluster.upstream_rq:3|c|#envoy.response_code:200,envoy.cluster_name:outbound_80__a",
		"envoy.server.x:0|c",
		"envoy.server.live:1|g",
		"envoy.http.downstream_rq_time:0|ms|#envoy.http_conn_manager_prefix:a",
		"envoy.http.downstream_rq_time:3|ms|@0.25|#envoy.http_conn_manager_prefix:a",
		"envoy.http.downstream_rq_time:125|ms|#envoy.http_conn_manager_prefix:a",
	}
	address, read := receive(t)
	s := compiled(t, DogSink(), sdktest.Text[metricsv3.DogStatsdSink](t, socket(address)), sdktest.NewCompiler(t))
	flush(t, s)
	if got := read(6); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	// Several lines go into a datagram as far as there is room.
	s = compiled(t, DogSink(), sdktest.Text[metricsv3.DogStatsdSink](t, socket(address)+"max_bytes_per_datagram { value: 130 }"), sdktest.NewCompiler(t))
	flush(t, s)
	for _, d := range read(3) {
		if len(d) > 130 {
			t.Errorf("a datagram of %d bytes", len(d))
		}
		for line := range strings.SplitSeq(d, "\n") {
			if len(want) == 0 || line != want[0] {
				t.Fatalf("got %q, then want %q", line, want)
			}
			want = want[1:]
		}
	}
}

// hosted is a compiler with a cluster.
type hosted struct {
	*sdktest.Compiler
	hosts *[]netip.AddrPort
}

func (h hosted) At(string) sdk.Compiler { return h }

func (h hosted) Hosts(string) func() []netip.AddrPort {
	return func() []netip.AddrPort { return *h.hosts }
}

func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var hosts []netip.AddrPort
	c := sdktest.NewCompiler(t)
	c.AddCluster("s")
	s := compiled(t, Sink(), &metricsv3.StatsdSink{
		StatsdSpecifier: &metricsv3.StatsdSink_TcpClusterName{TcpClusterName: "s"}, Prefix: "P",
	}, hosted{c, &hosts})
	if err := s.Flush(t.Context(), snapshot()); err == nil || !strings.Contains(err.Error(), "no hosts") {
		t.Errorf("without hosts: %v", err)
	}
	hosts = append(hosts, netip.MustParseAddrPort(ln.Addr().String()))
	for round := range 2 { // the second one after the first connection has died
		flush(t, s)
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(plain))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != plain {
			t.Errorf("round %d: %v\n%s", round, err, got)
		}
		conn.Close()
		for s.Flush(t.Context(), snapshot()) == nil { // until it is noticed
			time.Sleep(time.Millisecond)
		}
	}
}

// TestHangs: a receiver that does not read costs its flush and no more.
func TestHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	hosts := []netip.AddrPort{netip.MustParseAddrPort(ln.Addr().String())}
	c := sdktest.NewCompiler(t)
	c.AddCluster("s")
	s := compiled(t, Sink(), &metricsv3.StatsdSink{StatsdSpecifier: &metricsv3.StatsdSink_TcpClusterName{TcpClusterName: "s"}}, hosted{c, &hosts})
	snap := snapshot()
	for range 200_000 {
		snap.Counters = append(snap.Counters, snap.Counters[0])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx, snap); err == nil {
		t.Error("10 MB went to somebody who does not read")
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`tcp_cluster_name: "none"`, "tcp_cluster_name: unknown cluster 'none'"},
		{`address { socket_address { address: "localhost" port_value: 1 } }`, "address.socket_address.address: malformed IP address: localhost"},
		{``, "address: is neither"},
	} {
		if _, err := Sink().Compile(sdktest.NewCompiler(t), sdktest.Text[metricsv3.StatsdSink](t, c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}
