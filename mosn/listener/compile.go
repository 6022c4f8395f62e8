package listener

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// DefaultBufferLimit is per_connection_buffer_limit_bytes when it is not set.
const DefaultBufferLimit = 1 << 20

// Options are what Compile needs of those above.
type Options struct {
	// Filter compiles one network filter.
	Filter func(c sdk.Compiler, pb *listenerv3.Filter) (stream.ConnFactory, error)
	// Runtime may limit connections: envoy.resource_limits.listener.<name>.connection_limit.
	Runtime *runtime.Values
	// Names is the list of a listener's stats; make it once with StatNames.
	Names *stats.Names
}

// Config is a compiled listener.
type Config struct {
	name     string
	pb       *listenerv3.Listener
	sockets  []eventloop.ListenConfig
	noBind   bool // bind_to_port: false
	chain    *chain
	buffer   int
	logs     sdk.AccessLogger // of connections, nil for none
	limit    shared.Resource  // of connections at a time, over all loops
	runtime  *runtime.Values  // says how many, under limitKey
	limitKey string
	live     atomic.Int32 // loops that may still use the chain
	taken    atomic.Bool  // by a Manager
	block    stats.Block
}

// Name returns the resource's name; without one it is the address.
func (c *Config) Name() string { return c.name }

// Proto returns the resource. It must not be changed.
func (c *Config) Proto() *listenerv3.Listener { return c.pb }

// Taken reports whether a Manager has taken it over, which is going to close it.
func (c *Config) Taken() bool { return c.taken.Load() }

// Close frees a config that no Manager has taken over.
func (c *Config) Close() { c.chain.Close() }

// Name returns the name under which a listener is kept: its own, else the address.
func Name(pb *listenerv3.Listener) string {
	if pb.GetName() != "" {
		return pb.GetName()
	}
	if p := pb.GetAddress().GetPipe(); p != nil {
		return p.GetPath()
	}
	a := pb.GetAddress().GetSocketAddress()
	return fmt.Sprintf("%s:%d", a.GetAddress(), a.GetPortValue())
}

// StatPrefix returns "listener.<stat_prefix or address>", the scope of its stats.
func StatPrefix(pb *listenerv3.Listener) string {
	if pb.GetStatPrefix() != "" {
		return "listener." + pb.GetStatPrefix()
	}
	e, _, err := parseAddress(pb.GetAddress())
	if err != nil {
		return "listener." + Name(pb)
	}
	return "listener." + statName(e.addr)
}

// Compile makes a Config. c stands at the resource; c.Stats is the root scope.
func Compile(c sdk.Compiler, pb *listenerv3.Listener, o Options) (*Config, error) {
	cfg := &Config{
		name: Name(pb), pb: pb,
		noBind: pb.GetBindToPort() != nil && !pb.GetBindToPort().GetValue(),
		buffer: DefaultBufferLimit,
		block:  stats.BlockOf(c.Stats().Scope(StatPrefix(pb)), o.Names),
	}
	if v := pb.GetPerConnectionBufferLimitBytes(); v != nil {
		cfg.buffer = int(min(v.GetValue(), math.MaxInt32))
	}
	cfg.runtime, cfg.limitKey = o.Runtime, "envoy.resource_limits.listener."+cfg.name+".connection_limit"
	var err error
	if cfg.sockets, err = compileSockets(c, pb); err != nil {
		return nil, err
	}
	if cfg.logs, err = accesslog.CompileAll(c, pb.GetAccessLog(), accesslog.CompileOptions{Runtime: o.Runtime}); err != nil {
		return nil, err
	}
	cfg.chain, err = compileChain(c, pb, o)
	return cfg, err
}

// compileSockets returns how each address is bound.
func compileSockets(c sdk.Compiler, pb *listenerv3.Listener) ([]eventloop.ListenConfig, error) {
	base := eventloop.ListenConfig{
		Backlog:     int(pb.GetTcpBacklogSize().GetValue()),
		NoReusePort: pb.GetEnableReusePort() != nil && !pb.GetEnableReusePort().GetValue(),
		FreeBind:    pb.GetFreebind().GetValue(),
		Transparent: pb.GetTransparent().GetValue(),
	}
	var out []eventloop.ListenConfig
	add := func(c sdk.Compiler, field string, a *corev3.Address, options []*corev3.SocketOption, keep *corev3.TcpKeepalive) error {
		e, err := compileAddress(c.At(field), a)
		if err != nil {
			return err
		}
		lc := base
		lc.Addr, lc.V6Only, lc.Mode = e.addr, e.v6Only, e.mode
		lc.KeepAlive = compileKeepAlive(keep)
		if lc.Options, err = compileOptions(c, "socket_options", options, pb.GetTcpFastOpenQueueLength().GetValue()); err != nil {
			return err
		}
		out = append(out, lc)
		return nil
	}
	if err := add(c, "address", pb.GetAddress(), pb.GetSocketOptions(), pb.GetTcpKeepalive()); err != nil {
		return nil, err
	}
	for i, a := range pb.GetAdditionalAddresses() {
		options, keep := pb.GetSocketOptions(), pb.GetTcpKeepalive()
		if a.GetSocketOptions() != nil {
			options = a.GetSocketOptions().GetSocketOptions()
		}
		if a.GetTcpKeepalive() != nil {
			keep = a.GetTcpKeepalive()
		}
		if err := add(c.At(fmt.Sprintf("additional_addresses[%d]", i)), "address", a.GetAddress(), options, keep); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func compileKeepAlive(pb *corev3.TcpKeepalive) *eventloop.KeepAlive {
	if pb == nil {
		return nil
	}
	return &eventloop.KeepAlive{
		Idle:     time.Duration(pb.GetKeepaliveTime().GetValue()) * time.Second,
		Interval: time.Duration(pb.GetKeepaliveInterval().GetValue()) * time.Second,
		Probes:   int(pb.GetKeepaliveProbes().GetValue()),
	}
}

func compileOptions(c sdk.Compiler, field string, pbs []*corev3.SocketOption, fastOpen uint32) ([]eventloop.SockOpt, error) {
	var out []eventloop.SockOpt
	for i, pb := range pbs {
		at := c.At(fmt.Sprintf("%s[%d]", field, i))
		if pb.GetState() != corev3.SocketOption_STATE_PREBIND {
			return nil, at.At("state").Errorf("only STATE_PREBIND is built yet, not %s", pb.GetState())
		}
		o := eventloop.SockOpt{Level: int(pb.GetLevel()), Name: int(pb.GetName()), Value: int(pb.GetIntValue())}
		if b, ok := pb.GetValue().(*corev3.SocketOption_BufValue); ok {
			o.Bytes = append([]byte{}, b.BufValue...)
		}
		out = append(out, o)
	}
	if fastOpen > 0 {
		out = append(out, eventloop.SockOpt{Level: unix.IPPROTO_TCP, Name: unix.TCP_FASTOPEN, Value: int(min(fastOpen, math.MaxInt32))})
	}
	return out, nil
}
