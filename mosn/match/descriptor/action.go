package descriptor

import (
	"cmp"
	"net/netip"
	"unsafe"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

type kind uint8

const (
	constant kind = iota // generic_key, source_cluster
	destination
	header
	parameter
	address
	masked
	headersMatch
	parametersMatch
	addressMatch
	metadata
)

// action makes one entry.
type action struct {
	kind  kind
	key   string
	name  string // of a header or a parameter
	value text
	skip  bool // skip_if_absent: leave the entry out, not the descriptor

	expect    bool // what a match must say
	headers   match.Headers
	queries   match.Queries
	addresses match.Addresses

	path    match.MetadataPath // of metadata
	dynamic bool               // of the stream's, not the route's
	v4, v6  int                // masked: lengths of prefixes
}

// text is a configured value.
type text struct {
	literal   string
	format    *edit.Value // instead of literal
	otherwise string      // when the format gives nothing
}

// formatFlag makes formats of the values of actions that Envoy had before it had formats
// there.
const formatFlag = "envoy.reloadable_features.enable_formatter_for_ratelimit_action_descriptor_value"

func compileText(c sdk.Compiler, value, otherwise string, formatted bool) (text, error) {
	if !formatted {
		return text{literal: value}, nil
	}
	v, err := edit.CompileValue(c.At("descriptor_value"), value)
	return text{format: &v, otherwise: otherwise}, err
}

func compileAction(c sdk.Compiler, pb *routev3.RateLimit_Action) (a action, err error) {
	formatted := runtime.Of(c).Bool(formatFlag, false)
	switch s := pb.GetActionSpecifier().(type) {
	case *routev3.RateLimit_Action_SourceCluster_:
		a = action{kind: constant, key: "source_cluster", value: text{literal: localCluster(c)}}
	case *routev3.RateLimit_Action_DestinationCluster_:
		a = action{kind: destination, key: "destination_cluster"}
	case *routev3.RateLimit_Action_RequestHeaders_:
		p := s.RequestHeaders
		a = action{kind: header, key: p.GetDescriptorKey(), name: match.HeaderName(p.GetHeaderName()), skip: p.GetSkipIfAbsent()}
	case *routev3.RateLimit_Action_QueryParameters_:
		p := s.QueryParameters
		a = action{kind: parameter, key: p.GetDescriptorKey(), name: p.GetQueryParameterName(), skip: p.GetSkipIfAbsent()}
	case *routev3.RateLimit_Action_RemoteAddress_:
		a = action{kind: address, key: "remote_address"}
	case *routev3.RateLimit_Action_MaskedRemoteAddress_:
		a = action{kind: masked, key: "masked_remote_address", v4: 32, v6: 128}
		if n := s.MaskedRemoteAddress.GetV4PrefixMaskLen(); n != nil {
			a.v4 = int(n.GetValue())
		}
		if n := s.MaskedRemoteAddress.GetV6PrefixMaskLen(); n != nil {
			a.v6 = int(n.GetValue())
		}
	case *routev3.RateLimit_Action_GenericKey_:
		p := s.GenericKey
		a = action{kind: constant, key: cmp.Or(p.GetDescriptorKey(), "generic_key")}
		a.value, err = compileText(c.At("generic_key"), p.GetDescriptorValue(), p.GetDefaultValue(), formatted)
	case *routev3.RateLimit_Action_Metadata:
		a = compileMetadata(s.Metadata)
	default:
		return compileMatch(c, pb, formatted)
	}
	return a, err
}

// compileMatch compiles the actions that make an entry for some requests.
func compileMatch(c sdk.Compiler, pb *routev3.RateLimit_Action, formatted bool) (a action, err error) {
	var value, otherwise string
	switch s := pb.GetActionSpecifier().(type) {
	case *routev3.RateLimit_Action_HeaderValueMatch_:
		p := s.HeaderValueMatch
		c, value, otherwise = c.At("header_value_match"), p.GetDescriptorValue(), p.GetDefaultValue()
		a = action{kind: headersMatch, key: cmp.Or(p.GetDescriptorKey(), "header_match"), expect: p.GetExpectMatch() == nil || p.GetExpectMatch().GetValue()}
		a.headers, err = match.CompileHeaders(c, "headers", p.GetHeaders())
	case *routev3.RateLimit_Action_QueryParameterValueMatch_:
		p := s.QueryParameterValueMatch
		c, value, otherwise = c.At("query_parameter_value_match"), p.GetDescriptorValue(), p.GetDefaultValue()
		a = action{kind: parametersMatch, key: cmp.Or(p.GetDescriptorKey(), "query_match"), expect: p.GetExpectMatch() == nil || p.GetExpectMatch().GetValue()}
		a.queries, err = match.CompileQueries(c, "query_parameters", p.GetQueryParameters())
	case *routev3.RateLimit_Action_RemoteAddressMatch_:
		p := s.RemoteAddressMatch
		c, value, otherwise, formatted = c.At("remote_address_match"), p.GetDescriptorValue(), p.GetDefaultValue(), true
		a = action{kind: addressMatch, key: cmp.Or(p.GetDescriptorKey(), "remote_address_match"), expect: !p.GetAddressMatcher().GetInvertMatch()}
		a.addresses, err = match.CompileAddresses(c.At("address_matcher"), "ranges", p.GetAddressMatcher().GetRanges())
	default:
		return a, c.Errorf("no action is set that is supported")
	}
	if err != nil {
		return a, err
	}
	a.value, err = compileText(c, value, otherwise, formatted)
	return a, err
}

func compileMetadata(pb *routev3.RateLimit_Action_MetaData) action {
	a := action{kind: metadata, key: pb.GetDescriptorKey(), skip: pb.GetSkipIfAbsent(), value: text{otherwise: pb.GetDefaultValue()}}
	a.path, a.dynamic = match.CompileMetadataPath(pb.GetMetadataKey()), pb.GetSource() == routev3.RateLimit_Action_MetaData_DYNAMIC
	return a
}

// localCluster is the cluster that this proxy belongs to, as its node says.
func localCluster(c sdk.Compiler) string {
	if h, ok := c.(interface{ Node() *corev3.Node }); ok {
		return h.Node().GetCluster()
	}
	return ""
}

// entry makes the entry of a request: ok is false when there is to be no descriptor, and
// the entry is empty when there is to be one without it.
func (a *action) entry(l *List, s sdk.Stream) (e Entry, ok bool) {
	switch a.kind {
	case destination:
		name, _ := s.Cluster()
		return Entry{a.key, name}, true
	case header:
		v, ok := s.Request().Get(a.name)
		return a.present(v, ok)
	case parameter:
		var v string
		v, l.buf, ok = match.DecodedParameter(l.buf, s.Request().Path(), a.name)
		return a.present(v, ok)
	case metadata:
		v := cmp.Or(a.metadata(s), a.value.otherwise)
		return a.present(v, v != "")
	case address, masked:
		return a.remote(l, s.Info().DownstreamRemote.Addr().Unmap().WithZone(""))
	}
	if !a.matches(l, s) {
		return Entry{}, false
	}
	v := a.value.literal
	if a.value.format != nil {
		if v = cmp.Or(l.value(a.value.format, s), a.value.otherwise); v == "" {
			return Entry{}, false
		}
	}
	return Entry{a.key, v}, true
}

func (a *action) present(v string, ok bool) (Entry, bool) {
	if !ok {
		return Entry{}, a.skip
	}
	return Entry{a.key, v}, true
}

func (a *action) matches(l *List, s sdk.Stream) (ok bool) {
	switch a.kind {
	case headersMatch:
		ok = a.headers.Match(s.Request())
	case parametersMatch:
		ok, l.buf = a.queries.MatchDecoded(l.buf, s.Request().Path())
	case addressMatch:
		ok = a.addresses.Match(s.Info().DownstreamRemote.Addr())
	default:
		return true
	}
	return ok == a.expect
}

// remote makes the entry of the client's address; one without an IP address has none.
func (a *action) remote(l *List, addr netip.Addr) (Entry, bool) {
	if !addr.IsValid() {
		return Entry{}, false
	}
	start := len(l.buf)
	if a.kind == address {
		l.buf = addr.AppendTo(l.buf)
		return Entry{a.key, view(l.buf[start:])}, true
	}
	bits := a.v4
	if addr.Is6() {
		bits = a.v6
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return Entry{}, false
	}
	l.buf = p.AppendTo(l.buf)
	return Entry{a.key, view(l.buf[start:])}, true
}

// metadata returns the text under the path in the metadata of the stream or its route.
func (a *action) metadata(s sdk.Stream) string {
	if a.dynamic {
		return a.path.Of(&s.Info().Dynamic).Text()
	}
	md, _ := s.RouteValue("metadata").(*sdk.Metadata)
	return a.path.Of(md).Text()
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
