package lua

import (
	"fmt"
	"net/netip"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// info is a script's handle of what is known of the stream.
type info struct{ *run }

func luaStreamInfo(l *lua.LState, r *run) int {
	if r.info == nil {
		r.info = r.m.types.info.of(l, &info{r})
	}
	l.Push(r.info)
	return 1
}

// text is a method that returns a string of the stream.
func text(of func(*sdk.StreamInfo) string) lua.LGFunction {
	return method(func(l *lua.LState, i *info) int {
		l.Push(lua.LString(strings.Clone(of(i.s.Info()))))
		return 1
	})
}

// none is a method that returns nil: of TLS, and of metadata that nobody writes here.
var none = func(l *lua.LState) int {
	l.Push(lua.LNil)
	return 1
}

func local(i *sdk.StreamInfo) string {
	if i.DownstreamLocalPath != "" {
		return i.DownstreamLocalPath
	}
	return address(i.DownstreamLocal)
}

func address(a netip.AddrPort) string {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

var infoMethods = map[string]lua.LGFunction{
	"protocol":                      text((*sdk.StreamInfo).ProtocolName),
	"routeName":                     text(func(i *sdk.StreamInfo) string { return i.RouteName }),
	"virtualClusterName":            text(func(i *sdk.StreamInfo) string { return i.VirtualCluster }),
	"requestedServerName":           text(func(*sdk.StreamInfo) string { return "" }),
	"downstreamLocalAddress":        text(local),
	"downstreamDirectLocalAddress":  text(local),
	"downstreamRemoteAddress":       text(func(i *sdk.StreamInfo) string { return address(i.DownstreamRemote) }),
	"downstreamDirectRemoteAddress": text(func(i *sdk.StreamInfo) string { return address(i.DownstreamDirectRemote) }),
	"downstreamSslConnection":       none,
	"dynamicTypedMetadata":          none,
	"dynamicMetadata": method(func(l *lua.LState, i *info) int {
		l.Push(i.m.types.dynamic.of(l, &dynamic{run: i.run}))
		return 1
	}),
	"filterState": method(func(l *lua.LState, i *info) int {
		l.Push(i.m.types.state.of(l, i.run))
		return 1
	}),
	"drainConnectionUponCompletion": method(func(_ *lua.LState, i *info) int {
		i.s.Info().CloseConnection = true
		return 0
	}),
}

// dynamic is a script's handle of the dynamic metadata.
type dynamic struct {
	*run
	iterating bool
}

var dynamicMethods = map[string]lua.LGFunction{
	"get": method(func(l *lua.LState, d *dynamic) int {
		v := d.s.Info().Dynamic.Namespace(l.CheckString(2))
		if !v.Exists() {
			return 0
		}
		l.Push(toLua(l, v))
		return 1
	}),
	"set": method(func(l *lua.LState, d *dynamic) int {
		if d.iterating {
			l.RaiseError("dynamic metadata map cannot be modified while iterating")
		}
		d.s.Info().Dynamic.Set(l.CheckString(2), l.CheckString(3), fromLua(l, l.Get(4), 0))
		return 0
	}),
	"__pairs": method(func(l *lua.LState, d *dynamic) int {
		if d.iterating {
			l.RaiseError("cannot create a second iterator before completing the first")
		}
		d.iterating = true
		return luaValuePairs(l, d.s.Info().Dynamic.All(), func() { d.iterating = false })
	}),
}

// luaValuePairs returns an iterator over the members of a struct.
func luaValuePairs(l *lua.LState, v sdk.Value, done func()) int {
	i := 0
	l.Push(l.NewFunction(func(l *lua.LState) int {
		if i >= v.Len() {
			done()
			return 0
		}
		l.Push(lua.LString(strings.Clone(v.NameAt(i))))
		l.Push(toLua(l, v.At(i)))
		i++
		return 2
	}))
	return 1
}

// metadata is a script's handle of metadata that does not change.
type metadata struct {
	*run
	fields sdk.Value
}

var metadataMethods = map[string]lua.LGFunction{
	"get": method(func(l *lua.LState, m *metadata) int {
		v := m.fields.Field(l.CheckString(2))
		if !v.Exists() {
			return 0
		}
		l.Push(toLua(l, v))
		return 1
	}),
	"__pairs": method(func(l *lua.LState, m *metadata) int { return luaValuePairs(l, m.fields, func() {}) }),
}

func (r *run) metadataOf(v sdk.Value) lua.LValue {
	return r.m.types.metadata.of(r.m.state, &metadata{r, v})
}

// ours is the filter's own part of metadata: under its name in the chain, else under that
// of its kind.
func (r *run) ours(md *sdk.Metadata) sdk.Value {
	if v := md.Namespace(r.s.FilterName()); v.Exists() {
		return v
	}
	return md.Namespace(name)
}

func luaMetadata(l *lua.LState, r *run) int {
	l.Push(r.metadataOf(r.ours(r.s.Info().RouteMetadata)))
	return 1
}

func luaFilterContext(l *lua.LState, r *run) int {
	l.Push(r.metadataOf(r.f.context(r.s)))
	return 1
}

// part is a script's handle of a virtual host or a route.
type part struct {
	*run
	md *sdk.Metadata
}

var partMethods = map[string]lua.LGFunction{
	"metadata": method(func(l *lua.LState, p *part) int {
		l.Push(p.metadataOf(p.ours(p.md)))
		return 1
	}),
}

func luaVirtualHost(l *lua.LState, r *run) int {
	l.Push(r.m.types.part.of(l, &part{r, r.s.Info().VirtualHostMetadata}))
	return 1
}

func luaRoute(l *lua.LState, r *run) int {
	l.Push(r.m.types.part.of(l, &part{r, r.s.Info().RouteMetadata}))
	return 1
}

var connectionMethods = map[string]lua.LGFunction{"ssl": none}

func luaConnection(l *lua.LState, r *run) int {
	l.Push(r.m.types.connection.of(l, r))
	return 1
}

// connectionInfoMethods are those of the connection's own metadata, which only network
// filters would write.
var connectionInfoMethods = map[string]lua.LGFunction{
	"dynamicTypedMetadata": none,
	"dynamicMetadata": method(func(l *lua.LState, r *run) int {
		l.Push(r.metadataOf(sdk.Struct()))
		return 1
	}),
}

func luaConnectionInfo(l *lua.LState, r *run) int {
	l.Push(r.m.types.connectionInfo.of(l, r))
	return 1
}

var stateMethods = map[string]lua.LGFunction{
	"get": method(luaGetState),
	"set": method(luaSetState),
}

func luaGetState(l *lua.LState, r *run) int {
	v := r.s.Info().FilterState(l.CheckString(2))
	if field := l.Get(3); field != lua.LNil {
		o, ok := v.(interface{ Field(name string) sdk.Value })
		if !ok {
			return 0
		}
		f := o.Field(l.CheckString(3))
		if !f.Exists() {
			return 0
		}
		l.Push(toLua(l, f))
		return 1
	}
	switch v := v.(type) {
	case nil:
		return 0
	case string:
		l.Push(lua.LString(v))
	case fmt.Stringer:
		l.Push(lua.LString(strings.Clone(v.String())))
	case int, int64, uint64:
		l.Push(lua.LString(fmt.Sprint(v)))
	case bool:
		l.Push(lua.LString(fmt.Sprint(v)))
	default:
		return 0
	}
	return 1
}

// luaSetState makes an object of a kind: set(key, kind, text).
func luaSetState(l *lua.LState, r *run) int {
	key, kind, value := l.CheckString(2), l.CheckString(3), l.CheckString(4)
	switch kind {
	case "envoy.string", "envoy.hashable_string":
	default:
		l.RaiseError("'%s' does not have an object factory", kind)
	}
	r.s.Info().SetFilterState(key, value)
	return 0
}
