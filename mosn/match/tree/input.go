package tree

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	environmentv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/environment_variable/v3"
	networkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// presence is what an input knows of its value.
type presence uint8

const (
	missing presence = iota // not yet
	none                    // there is no such value
	found
)

// input is a compiled input. Of text there is a function; the others are not read as
// text, only by the matcher that goes with them.
type input struct {
	name string
	text func(*match.Data) (string, presence)
	// addr is instead of text for an address, which is text to those who ask for it.
	addr     func(*sdk.StreamInfo) netip.AddrPort
	cel      bool
	metadata *match.MetadataPath
}

// address is the value as an address. What is no address is none.
func (in *input) address(d *match.Data) (netip.Addr, presence) {
	if in.addr != nil {
		a := in.addr(d.Info).Addr()
		if !a.IsValid() {
			return a, none
		}
		return a.Unmap(), found
	}
	v, is := in.text(d)
	if is != found || len(v) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return netip.Addr{}, min(is, none)
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		return netip.Addr{}, none
	}
	return a.Unmap(), found
}

// compileInput compiles an input; allowed are the messages that the place allows.
func compileInput(c sdk.Compiler, pb *xdscorev3.TypedExtensionConfig, allowed []string) (input, error) {
	m, err := c.At("typed_config").Unpack(pb.GetTypedConfig())
	if err != nil {
		return input{}, err
	}
	name := string(m.ProtoReflect().Descriptor().FullName())
	in := input{name: name}
	if e, ok := m.(*environmentv3.Config); ok {
		in.text = environment(e.GetName())
		return in, nil
	}
	switch m := m.(type) {
	case *matcherv3.HttpRequestHeaderMatchInput:
		in.text = header(m.GetHeaderName(), func(d *match.Data) *sdk.Headers { return d.Request })
	case *matcherv3.HttpRequestTrailerMatchInput:
		in.text = header(m.GetHeaderName(), func(d *match.Data) *sdk.Headers { return d.RequestTrailers })
	case *matcherv3.HttpResponseHeaderMatchInput:
		in.text = header(m.GetHeaderName(), func(d *match.Data) *sdk.Headers { return d.Response })
	case *matcherv3.HttpResponseTrailerMatchInput:
		in.text = header(m.GetHeaderName(), func(d *match.Data) *sdk.Headers { return d.ResponseTrailers })
	case *matcherv3.HttpRequestQueryParamMatchInput:
		in.text = parameter(m.GetQueryParam())
	case *matcherv3.HttpResponseStatusCodeMatchInput:
		in.text = func(d *match.Data) (string, presence) { return status(d, false) }
	case *matcherv3.HttpResponseStatusCodeClassMatchInput:
		in.text = func(d *match.Data) (string, presence) { return status(d, true) }
	case *xdsmatcherv3.HttpAttributesCelMatchInput:
		in.cel = true
	case *networkv3.FilterStateInput:
		if m.GetField() != "" {
			return in, c.At("typed_config.field").Errorf("fields of the filter state are not built yet")
		}
		in.text = state(m.GetKey())
	case *networkv3.DynamicMetadataInput:
		key := &metadatav3.MetadataKey{Key: m.GetFilter()}
		for _, s := range m.GetPath() {
			key.Path = append(key.Path, &metadatav3.MetadataKey_PathSegment{Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: s.GetKey()}})
		}
		path := match.CompileMetadataPath(key)
		in.metadata = &path
	case *networkv3.SourceTypeInput:
		in.text = sourceType
	case *networkv3.ServerNameInput:
		in.text = func(*match.Data) (string, presence) { return "", none } // which TLS would tell
	default:
		if !in.network(name) {
			return in, c.Missing("envoy.matching.http.input", pb.GetName(), pb.GetTypedConfig())
		}
	}
	if allowed != nil && !slices.Contains(allowed, name) {
		return in, c.Errorf("%s cannot be matched on in this context", name)
	}
	return in, nil
}

// network compiles the inputs of a connection's addresses.
func (in *input) network(name string) bool {
	destination := func(i *sdk.StreamInfo) netip.AddrPort { return i.DownstreamLocal }
	source := func(i *sdk.StreamInfo) netip.AddrPort { return i.DownstreamRemote }
	switch strings.TrimPrefix(name, "envoy.extensions.matching.common_inputs.network.v3.") {
	case "DestinationIPInput":
		in.addr = destination
	case "DestinationPortInput":
		in.text = portText(destination)
	case "SourceIPInput":
		in.addr = source
	case "SourcePortInput":
		in.text = portText(source)
	case "DirectSourceIPInput":
		in.addr = func(i *sdk.StreamInfo) netip.AddrPort { return i.DownstreamDirectRemote }
	default:
		return false
	}
	if of := in.addr; of != nil {
		in.text = func(d *match.Data) (string, presence) {
			a := of(d.Info).Addr()
			if !a.IsValid() {
				return "", none
			}
			return view(a.Unmap().AppendTo(d.Room[:0])), found
		}
	}
	return true
}

func portText(of func(*sdk.StreamInfo) netip.AddrPort) func(*match.Data) (string, presence) {
	return func(d *match.Data) (string, presence) {
		a := of(d.Info)
		if !a.IsValid() {
			return "", none
		}
		return view(strconv.AppendUint(d.Room[:0], uint64(a.Port()), 10)), found
	}
}

// header is the values of a header, joined.
func header(name string, of func(*match.Data) *sdk.Headers) func(*match.Data) (string, presence) {
	name = match.HeaderName(name)
	return func(d *match.Data) (string, presence) {
		h := of(d)
		if h == nil {
			return "", missing
		}
		i := h.Find(name, 0)
		if i < 0 {
			return "", none
		}
		first := h.ValueAt(i)
		if i = h.Find(name, i+1); i < 0 {
			return first, found
		}
		all := append(d.Room[:0], first...)
		for ; i >= 0; i = h.Find(name, i+1) {
			all = append(append(all, ','), h.ValueAt(i)...)
		}
		return view(all), found
	}
}

func parameter(name string) func(*match.Data) (string, presence) {
	return func(d *match.Data) (string, presence) {
		if d.Request == nil {
			return "", missing
		}
		v, _, ok := match.DecodedParameter(d.Room[:0], d.Request.Path(), name)
		if !ok {
			return "", none
		}
		return v, found
	}
}

// status is the code of the response, or its class ("4xx").
func status(d *match.Data, class bool) (string, presence) {
	if d.Response == nil {
		return "", missing
	}
	code := d.Response.Status()
	if code < 100 || code > 599 {
		return "", none
	}
	text := strconv.AppendInt(d.Room[:0], int64(code), 10)
	if class {
		text[1], text[2] = 'x', 'x'
	}
	return view(text), found
}

// state is a text of the filter state, or what has one.
func state(key string) func(*match.Data) (string, presence) {
	return func(d *match.Data) (string, presence) {
		switch v := d.Info.FilterState(key).(type) {
		case string:
			return v, found
		case fmt.Stringer:
			return v.String(), found
		}
		return "", none
	}
}

// sourceType is "local" for a client on this host.
func sourceType(d *match.Data) (string, presence) {
	remote, local := d.Info.DownstreamRemote.Addr(), d.Info.DownstreamLocal.Addr()
	if d.Info.DownstreamLocalPath != "" || remote.IsValid() && (remote.Unmap().IsLoopback() || remote.Unmap() == local.Unmap()) {
		return "local", found
	}
	return "", none
}

func environment(name string) func(*match.Data) (string, presence) {
	v, ok := os.LookupEnv(name)
	is := none
	if ok {
		is = found
	}
	return func(*match.Data) (string, presence) { return v, is }
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
