// Package statsd is Envoy's stats sinks envoy.stat_sinks.statsd, over UDP or TCP, and
// envoy.stat_sinks.dog_statsd: lines of text, one a metric, as Envoy writes them.
//
// Envoy sends each value of a histogram as it comes. Here values are kept in buckets, so
// a bucket is sent as one line with the sample rate that stands for how many there were
// ("|@0.25" for four).
//
// A sink is compiled off the loops; the server's goroutine that flushes it is the only
// one that uses it.
package statsd

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// defaultPrefix is what names begin with when the configuration does not say.
const defaultPrefix = "envoy"

// Sink returns the extension envoy.stat_sinks.statsd.
func Sink() sdk.StatsSink {
	return sdk.StatsSink{
		Name:   "envoy.stat_sinks.statsd",
		Config: &metricsv3.StatsdSink{},
		Fields: fields.Message("envoy.config.metrics.v3.StatsdSink",
			fields.Supported("address", "tcp_cluster_name", "prefix"),
			fields.NoEffect("scale_histogram_units_to_milliseconds")), // all histograms are of milliseconds or plain numbers
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.StatsFlusher, error) {
			return compile(c, m.(*metricsv3.StatsdSink))
		},
	}
}

// DogSink returns the extension envoy.stat_sinks.dog_statsd.
func DogSink() sdk.StatsSink {
	return sdk.StatsSink{
		Name:   "envoy.stat_sinks.dog_statsd",
		Config: &metricsv3.DogStatsdSink{},
		Fields: fields.Message("envoy.config.metrics.v3.DogStatsdSink",
			fields.Supported("address", "prefix", "max_bytes_per_datagram"),
			fields.NoEffect("scale_histogram_units_to_milliseconds")),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.StatsFlusher, error) {
			pb := m.(*metricsv3.DogStatsdSink)
			s := &sink{prefix: cmp.Or(pb.GetPrefix(), defaultPrefix) + ".", tags: true}
			if v := pb.GetMaxBytesPerDatagram(); v != nil {
				s.datagram = int(min(v.GetValue(), maxDatagram))
			}
			var err error
			s.network, s.address, err = addressOf(c.At("address"), pb.GetAddress())
			return s, err
		},
	}
}

func compile(c sdk.Compiler, pb *metricsv3.StatsdSink) (sdk.StatsFlusher, error) {
	s := &sink{prefix: cmp.Or(pb.GetPrefix(), defaultPrefix) + "."}
	name := pb.GetTcpClusterName()
	if name == "" {
		var err error
		s.network, s.address, err = addressOf(c.At("address"), pb.GetAddress())
		return s, err
	}
	c = c.At("tcp_cluster_name")
	if !c.Cluster(name) {
		return nil, c.Errorf("unknown cluster '%s'", name)
	}
	h, ok := c.(interface {
		Hosts(cluster string) func() []netip.AddrPort
	})
	if !ok {
		return nil, c.Errorf("clusters have no hosts here")
	}
	s.network, s.hosts = "tcp", h.Hosts(name)
	return s, nil
}

// addressOf returns where datagrams go: to an IP address or a Unix socket.
func addressOf(c sdk.Compiler, a *corev3.Address) (network, address string, err error) {
	if p := a.GetPipe(); p != nil {
		return "unixgram", p.GetPath(), nil
	}
	sa := a.GetSocketAddress()
	ip, err := netip.ParseAddr(sa.GetAddress())
	switch {
	case sa == nil:
		return "", "", c.Errorf("is neither a socket_address nor a pipe")
	case err != nil:
		return "", "", c.At("socket_address.address").Errorf("malformed IP address: %s", sa.GetAddress())
	case sa.GetNamedPort() != "":
		return "", "", c.At("socket_address.named_port").Errorf("is not supported")
	}
	return "udp", netip.AddrPortFrom(ip, uint16(sa.GetPortValue())).String(), nil
}

const (
	maxDatagram = 65507    // the most that UDP carries
	writeSize   = 64 << 10 // bytes that are written to a TCP connection at a time
)

// sink sends snapshots over one socket, which is made when it is needed.
type sink struct {
	prefix           string
	tags             bool // DogStatsD: names without tags, which follow the value
	network, address string
	hosts            func() []netip.AddrPort // of the cluster, for TCP
	datagram         int                     // most bytes of several lines in one datagram; 0: each has its own

	conn net.Conn
	turn int // of the hosts
	out  []byte
}

// Flush implements sdk.StatsFlusher.
func (s *sink) Flush(ctx context.Context, snap *sdk.StatsSnapshot) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.conn.SetWriteDeadline(deadline); err != nil {
			return s.broken(err)
		}
	}
	s.out = s.out[:0]
	for line := range s.lines(snap) {
		if err := s.add(line); err != nil {
			return s.broken(err)
		}
	}
	if err := s.write(); err != nil {
		return s.broken(err)
	}
	return nil
}

// Close implements sdk.StatsFlusher.
func (s *sink) Close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

func (s *sink) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	address := s.address
	if s.hosts != nil {
		hosts := s.hosts()
		if len(hosts) == 0 {
			return fmt.Errorf("statsd: the cluster has no hosts")
		}
		address = hosts[s.turn%len(hosts)].String()
		s.turn++
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, s.network, address)
	if err != nil {
		return fmt.Errorf("statsd: %w", err)
	}
	s.conn = conn
	return nil
}

// broken lets go of a socket that does not work.
func (s *sink) broken(err error) error {
	s.Close()
	s.conn = nil
	return fmt.Errorf("statsd: %w", err)
}

// add queues a line, which ends without a line break, or sends it.
func (s *sink) add(line []byte) error {
	limit := s.datagram
	if s.hosts != nil {
		limit = writeSize
	}
	if len(s.out) > 0 && len(s.out)+1+len(line) > limit {
		if err := s.write(); err != nil {
			return err
		}
	}
	if len(s.out) > 0 && s.hosts == nil {
		s.out = append(s.out, '\n')
	}
	s.out = append(s.out, line...)
	if s.hosts != nil {
		s.out = append(s.out, '\n')
	}
	return nil
}

func (s *sink) write() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// lines yields the lines of a snapshot; each is good until the next.
func (s *sink) lines(snap *sdk.StatsSnapshot) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var line []byte
		for i := range snap.Counters {
			c := &snap.Counters[i]
			line = strconv.AppendUint(s.name(line, &c.StatName), c.Delta, 10)
			if line = s.end(append(line, "|c"...), c.Tags); !yield(line) {
				return
			}
		}
		for i := range snap.Gauges {
			g := &snap.Gauges[i]
			line = strconv.AppendUint(s.name(line, &g.StatName), g.Value, 10)
			if line = s.end(append(line, "|g"...), g.Tags); !yield(line) {
				return
			}
		}
		for i := range snap.Histograms {
			h := &snap.Histograms[i]
			for _, b := range h.Interval.Buckets {
				line = strconv.AppendUint(s.name(line, &h.StatName), uint64(math.Floor(b.Lower+b.Width/2)), 10)
				line = append(line, "|ms"...)
				if b.Count > 1 {
					line = strconv.AppendFloat(append(line, "|@"...), 1/float64(b.Count), 'g', 6, 64)
				}
				if line = s.end(line, h.Tags); !yield(line) {
					return
				}
			}
		}
	}
}

func (s *sink) name(dst []byte, n *sdk.StatName) []byte {
	name := n.Full
	if s.tags {
		name = n.Common
	}
	return append(appendClean(append(dst[:0], s.prefix...), name), ':')
}

func (s *sink) end(dst []byte, tags []sdk.StatTag) []byte {
	if !s.tags {
		return dst
	}
	for i, t := range tags {
		if i == 0 {
			dst = append(dst, "|#"...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(appendClean(dst, t.Name), ':')
		dst = appendClean(dst, t.Value)
	}
	return dst
}

// appendClean appends a name without the bytes that have a meaning in a line.
func appendClean(dst []byte, name string) []byte {
	if !strings.ContainsAny(name, ":|,\r\n") {
		return append(dst, name...)
	}
	for i := range len(name) {
		switch c := name[i]; c {
		case ':', '|', ',', '\r', '\n':
			dst = append(dst, '_')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
