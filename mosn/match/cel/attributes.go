package cel

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// attribute is one of Envoy's.
type attribute struct {
	typ *cel.Type
	get func(*match.Data) ref.Val // nil: not there
}

// attributes are all that are built, by name; node is this proxy, nil where Envoy does not
// tell. Those of a TLS connection are never there,
// as on a plaintext connection in Envoy. Numbers without a sign are dyn: Envoy compares
// them with any number.
func attributes(node *corev3.Node) map[string]attribute {
	text, number, span, headers := cel.StringType, cel.IntType, cel.DurationType, cel.MapType(cel.StringType, cel.StringType)
	named := cel.MapType(cel.StringType, cel.DynType)
	all := map[string]attribute{
		"request.path":          {text, ofRequest(":path")},
		"request.url_path":      {text, urlPath},
		"request.query":         {text, query},
		"request.host":          {text, ofRequest(":authority")},
		"request.scheme":        {text, ofRequest(":scheme")},
		"request.method":        {text, ofRequest(":method")},
		"request.referer":       {text, ofRequest("referer")},
		"request.useragent":     {text, ofRequest("user-agent")},
		"request.id":            {text, ofRequest("x-request-id")},
		"request.headers":       {headers, func(d *match.Data) ref.Val { return mapOf(headerMap{d.Request}) }},
		"request.headers_bytes": {number, func(d *match.Data) ref.Val { return types.Int(headerBytes(d.Request)) }},
		"request.time":          {cel.TimestampType, func(d *match.Data) ref.Val { return types.Timestamp{Time: d.Info.StartTime} }},
		"request.protocol":      {text, func(d *match.Data) ref.Val { return textOrNone(d.Info.ProtocolName()) }},
		"request.duration":      {span, func(d *match.Data) ref.Val { return between(d.Info.Start, d.Info.End) }},
		"request.size":          {number, requestSize},
		"request.total_size": {number, func(d *match.Data) ref.Val {
			return types.Int(int64(d.Info.BytesReceived) + headerBytes(d.Request))
		}},

		"response.code":          {number, responseCode},
		"response.code_details":  {text, func(d *match.Data) ref.Val { return textOrNone(d.Info.Details) }},
		"response.flags":         {number, func(d *match.Data) ref.Val { return types.Int(d.Info.Flags) }},
		"response.grpc_status":   {number, grpcStatus},
		"response.headers":       {headers, func(d *match.Data) ref.Val { return mapOf(headerMap{d.Response}) }},
		"response.headers_bytes": {number, func(d *match.Data) ref.Val { return types.Int(headerBytes(d.Response)) }},
		"response.trailers":      {headers, func(d *match.Data) ref.Val { return mapOf(headerMap{d.ResponseTrailers}) }},
		"response.size":          {number, func(d *match.Data) ref.Val { return types.Int(d.Info.BytesSent) }},
		"response.total_size": {number, func(d *match.Data) ref.Val {
			return types.Int(int64(d.Info.BytesSent) + headerBytes(d.Response) + headerBytes(d.ResponseTrailers))
		}},
		"response.backend_latency": {span, func(d *match.Data) ref.Val { return between(d.Info.UpstreamRequest, d.Info.UpstreamEnd) }},

		"source.address":      {text, func(d *match.Data) ref.Val { return addressText(d.Info.DownstreamRemote, "") }},
		"source.port":         {number, func(d *match.Data) ref.Val { return port(d.Info.DownstreamRemote) }},
		"destination.address": {text, func(d *match.Data) ref.Val { return addressText(d.Info.DownstreamLocal, d.Info.DownstreamLocalPath) }},
		"destination.port":    {number, func(d *match.Data) ref.Val { return port(d.Info.DownstreamLocal) }},

		"connection.id":                    {cel.DynType, func(d *match.Data) ref.Val { return types.Uint(d.Info.ConnectionID) }},
		"connection.mtls":                  {cel.BoolType, func(*match.Data) ref.Val { return types.False }},
		"connection.requested_server_name": {text, func(*match.Data) ref.Val { return types.String("") }},
		"connection.termination_details":   {text, func(d *match.Data) ref.Val { return textOrNone(d.Info.TerminationDetails) }},

		"upstream.address":                  {text, func(d *match.Data) ref.Val { return textOrNone(d.Info.UpstreamHost) }},
		"upstream.port":                     {number, upstreamPort},
		"upstream.local_address":            {text, func(d *match.Data) ref.Val { return addressText(d.Info.UpstreamLocal, "") }},
		"upstream.transport_failure_reason": {text, failureReason},
		"upstream.request_attempt_count":    {cel.DynType, func(d *match.Data) ref.Val { return types.Uint(d.Info.Attempts) }},

		"filter_state": {named, func(d *match.Data) ref.Val { return mapOf(stateMap{d.Info}) }},

		"metadata.filter_metadata": {cel.MapType(cel.StringType, named), func(d *match.Data) ref.Val { return mapOf(valueMap{d.Info.Dynamic.All()}) }},

		"xds.cluster_metadata":       {named, metadata(func(i *sdk.StreamInfo) *sdk.Metadata { return i.ClusterMetadata })},
		"xds.listener_metadata":      {named, metadata(func(i *sdk.StreamInfo) *sdk.Metadata { return i.ListenerMetadata })},
		"xds.route_metadata":         {named, metadata(func(i *sdk.StreamInfo) *sdk.Metadata { return i.RouteMetadata })},
		"xds.virtual_host_metadata":  {named, metadata(func(i *sdk.StreamInfo) *sdk.Metadata { return i.VirtualHostMetadata })},
		"xds.upstream_host_metadata": {named, metadata(func(i *sdk.StreamInfo) *sdk.Metadata { return i.HostMetadata })},

		"xds.filter_chain_name": {text, func(d *match.Data) ref.Val { return types.String(d.Info.FilterChainName) }},
		"xds.cluster_name":      {text, func(d *match.Data) ref.Val { return textOrNone(d.Info.ClusterName) }},
		"xds.route_name":        {text, routeName},
		"xds.virtual_host_name": {text, func(d *match.Data) ref.Val { return textOrNone(d.Info.VirtualHostName) }},
	}
	for _, name := range []string{
		"tls_version", "subject_local_certificate", "subject_peer_certificate", "uri_san_local_certificate",
		"uri_san_peer_certificate", "dns_san_local_certificate", "dns_san_peer_certificate", "sha256_peer_certificate_digest",
	} {
		all["connection."+name] = attribute{text, absent}
		all["upstream."+name] = attribute{text, absent}
	}
	all["connection.transport_failure_reason"] = attribute{text, absent}
	for name, v := range map[string]string{
		"id": node.GetId(), "cluster": node.GetCluster(),
		"locality.region": node.GetLocality().GetRegion(), "locality.zone": node.GetLocality().GetZone(), "locality.sub_zone": node.GetLocality().GetSubZone(),
	} {
		all["xds.node."+name] = attribute{text, constant(node, types.String(v))}
	}
	all["xds.node.metadata"] = attribute{named, constant(node, mapOf(valueMap{sdk.StructOf(node.GetMetadata())}))}
	return all
}

func constant(node *corev3.Node, v ref.Val) func(*match.Data) ref.Val {
	if node == nil {
		return absent
	}
	return func(*match.Data) ref.Val { return v }
}

// metadata is Envoy's message of that name.
func metadata(of func(*sdk.StreamInfo) *sdk.Metadata) func(*match.Data) ref.Val {
	return func(d *match.Data) ref.Val { return mapOf(metadataMap{of(d.Info)}) }
}

// notBuilt are Envoy's other attributes.
func notBuilt() []string {
	return []string{
		"metadata.typed_filter_metadata", "upstream.locality", "upstream.num_endpoints", "upstream.cx_pool_ready_duration",
		"upstream_filter_state", "xds.listener_direction", "xds.upstream_host_locality_metadata",
	}
}

func absent(*match.Data) ref.Val { return nil }

func textOrNone(s string) ref.Val {
	if s == "" {
		return nil
	}
	return types.String(s)
}

// ofRequest is a header of the request, the first of its name.
func ofRequest(name string) func(*match.Data) ref.Val {
	return func(d *match.Data) ref.Val {
		if d.Request == nil {
			return nil
		}
		v, ok := d.Request.Get(name)
		if !ok {
			return nil
		}
		return types.String(v)
	}
}

func path(d *match.Data) string {
	if d.Request == nil {
		return ""
	}
	return d.Request.Path()
}

func urlPath(d *match.Data) ref.Val {
	if d.Request == nil {
		return nil
	}
	p, _, _ := strings.Cut(path(d), "?")
	return types.String(p)
}

func query(d *match.Data) ref.Val {
	if d.Request == nil {
		return nil
	}
	_, q, _ := strings.Cut(path(d), "?")
	q, _, _ = strings.Cut(q, "#")
	return types.String(q)
}

func headerBytes(h *sdk.Headers) int64 {
	if h == nil {
		return 0
	}
	return int64(h.ByteSize())
}

// requestSize is what the request says of its length; what it does not say is what has
// come.
func requestSize(d *match.Data) ref.Val {
	if d.Request != nil {
		if v, ok := d.Request.Get("content-length"); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return nil
			}
			return types.Int(n)
		}
	}
	return types.Int(d.Info.BytesReceived)
}

func responseCode(d *match.Data) ref.Val {
	if d.Info.ResponseCode == 0 {
		return nil
	}
	return types.Int(d.Info.ResponseCode)
}

func grpcStatus(d *match.Data) ref.Val {
	for _, h := range [...]*sdk.Headers{d.ResponseTrailers, d.Response} {
		if h == nil {
			continue
		}
		if s := h.ID(sdk.HeaderGRPCStatus); s != "" {
			n, err := strconv.ParseUint(s, 10, 63)
			if err != nil {
				return types.Int(-1)
			}
			return types.Int(n)
		}
	}
	if d.Info.ResponseCode == 0 {
		return nil
	}
	return types.Int(grpc.StatusOfHTTP(d.Info.ResponseCode))
}

// between is the time from one point to another, both in ns on the loop's clock.
func between(from, to int64) ref.Val {
	if from == 0 || to == 0 {
		return nil
	}
	return types.Duration{Duration: time.Duration(to - from)}
}

func addressText(a netip.AddrPort, path string) ref.Val {
	switch {
	case path != "":
		return types.String(path)
	case !a.IsValid():
		return nil
	}
	return types.String(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String())
}

func port(a netip.AddrPort) ref.Val {
	if !a.IsValid() {
		return nil
	}
	return types.Int(a.Port())
}

// failureReason is there, if perhaps empty, once there is somebody upstream.
func failureReason(d *match.Data) ref.Val {
	if d.Info.UpstreamHost == "" && d.Info.FailureReason == "" {
		return nil
	}
	return types.String(d.Info.FailureReason)
}

// routeName is empty for a route without a name.
func routeName(d *match.Data) ref.Val {
	if d.Info.VirtualHostName == "" {
		return nil
	}
	return types.String(d.Info.RouteName)
}

func upstreamPort(d *match.Data) ref.Val {
	host := d.Info.UpstreamHost
	i := strings.LastIndexByte(host, ':')
	if i < 0 {
		return nil
	}
	n, err := strconv.ParseUint(host[i+1:], 10, 16)
	if err != nil || n > math.MaxUint16 {
		return nil
	}
	return types.Int(n)
}
