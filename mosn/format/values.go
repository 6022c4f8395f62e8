package format

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// kind is what an operator has appended.
type kind uint8

const (
	missing kind = iota // nothing
	text                // a string from outside, to be escaped
	number              // decimal digits
	raw                 // JSON
)

// value appends the value, not yet escaped. It is apart from append so that nothing
// here calls itself: dst then stays on the stack of a caller who has it there.
func (p *part) value(dst []byte, ctx *Context) ([]byte, kind) {
	if p.op == opCoalesce {
		return p.appendFirst(dst, ctx)
	}
	return p.append(dst, ctx)
}

// append appends the value of an operator that has no others in it.
func (p *part) append(dst []byte, ctx *Context) ([]byte, kind) {
	switch p.op {
	case opReq:
		return p.appendHeader(dst, ctx.Request)
	case opReqWithoutQuery:
		return p.appendWithoutQuery(dst, ctx.Request)
	case opResp:
		return p.appendHeader(dst, ctx.Response)
	case opTrailer:
		return p.appendHeader(dst, ctx.Trailers)
	case opGRPCStatus, opGRPCStatusSnake, opGRPCStatusNumber:
		return p.appendGRPCStatus(dst, ctx)
	case opConstant:
		return append(dst, p.text...), text
	case opAbsent:
		return dst, missing
	case opRequestBytes:
		return strconv.AppendUint(dst, size(ctx.Request), 10), number
	case opResponseBytes:
		return strconv.AppendUint(dst, size(ctx.Response), 10), number
	case opTrailersBytes:
		return strconv.AppendUint(dst, size(ctx.Trailers), 10), number
	case opServerName:
		return p.appendServerName(dst, ctx)
	case opPath, opQueryParam, opQueryParams:
		return p.appendRequest(dst, ctx.Request)
	case opCEL, opTypedCEL:
		return p.appendExpression(dst, ctx)
	case opEmitTime:
		return appendTime(dst, p.time, time.Now().UTC()), text
	case opEmitTimeLocal:
		return appendTime(dst, p.time, time.Now()), text
	case opUniqueID:
		return appendUUID(dst), text
	case opLocalReplyBody:
		return append(dst, ctx.LocalReplyBody...), text
	}
	info := ctx.Info
	if info == nil {
		return dst, missing
	}
	switch p.op {
	case opStartTime:
		return appendTime(dst, p.time, info.StartTime.UTC()), text
	case opStartTimeLocal:
		return appendTime(dst, p.time, info.StartTime.Local()), text
	case opTLS:
		return p.appendTLS(dst, info)
	case opMetadata:
		return p.appendMetadata(dst, info)
	case opFilterStateField:
		return p.appendField(dst, info.FilterState(p.text))
	case opLogType:
		return append(dst, info.LogType.String()...), text
	case opCustomFlags:
		return append(dst, info.CustomFlags...), text
	case opHostsTried, opHostsTriedOnly, opNamesTried, opNamesTriedOnly, opConnectionsTried:
		return p.appendTried(dst, info.Tried)
	case opProtocol:
		return appendString(dst, info.ProtocolName())
	case opResponseFlags:
		return appendFlags(dst, info.Flags, false), text
	case opResponseFlagsLong:
		return appendFlags(dst, info.Flags, true), text
	case opStreamID:
		return appendStreamID(dst, ctx)
	case opTraceID:
		if info.Trace.None() {
			return dst, missing
		}
		return info.Trace.AppendTrace(dst), text
	case opSpanID:
		if info.Trace.None() || !info.Trace.Spanned {
			return dst, missing
		}
		return sdk.AppendHex(dst, info.Trace.Span), text
	case opFilterState, opFilterStateTyped:
		return p.appendState(dst, info.FilterState(p.text))
	}
	if d, ok := p.appendNumber(dst, info); ok {
		return d, number
	}
	if s, spaced, ok := p.stringOf(info); ok {
		if s != "" && !spaced {
			return appendUnspaced(dst, s), text
		}
		return appendString(dst, s)
	}
	if from, to, unit, ok := p.duration(info); ok {
		return appendDuration(dst, from, to, unit)
	}
	return p.appendAddress(dst, info)
}

// appendNumber handles the operators that are always there and numbers.
func (p *part) appendNumber(dst []byte, info *sdk.StreamInfo) ([]byte, bool) {
	var n uint64
	switch p.op {
	case opResponseCode:
		n = uint64(info.ResponseCode)
	case opBytesReceived:
		n = info.BytesReceived
	case opBytesSent:
		n = info.BytesSent
	case opDownstreamWireReceived:
		n = info.DownstreamWire.Received
	case opDownstreamWireSent:
		n = info.DownstreamWire.Sent
	case opUpstreamWireReceived:
		n = info.UpstreamWire.Received
	case opUpstreamWireSent:
		n = info.UpstreamWire.Sent
	case opUpstreamAttempts:
		n = uint64(info.Attempts)
	case opUpstreamConnectionID:
		n = info.UpstreamConnectionID
	case opConnectionID:
		n = info.ConnectionID
	default:
		return dst, false
	}
	return strconv.AppendUint(dst, n, 10), true
}

// stringOf handles the operators that are strings, missing when empty. spaced is
// false for those in which Envoy replaces white space, so that they are one word.
func (p *part) stringOf(info *sdk.StreamInfo) (s string, spaced, ok bool) {
	switch p.op {
	case opResponseCodeDetails:
		return info.Details, false, true
	case opResponseCodeDetailsSpaced:
		return info.Details, true, true
	case opUpstreamFailure:
		return info.FailureReason, false, true
	case opTermination:
		return info.TerminationDetails, true, true
	case opRouteName:
		return info.RouteName, true, true
	case opVirtualCluster:
		return info.VirtualCluster, true, true
	case opListenerName:
		return info.ListenerName, true, true
	case opFilterChain:
		return info.FilterChainName, true, true
	case opUpstreamCluster:
		return info.ClusterStatName, true, true
	case opUpstreamClusterRaw:
		if info.ClusterStatName == "" { // there is no such cluster
			return "", true, true
		}
		return info.ClusterName, true, true
	case opUpstreamProtocol:
		return info.UpstreamProtocol, true, true
	case opUpstreamHostName:
		return cmp.Or(info.UpstreamHostname, info.UpstreamHost), true, true
	case opUpstreamHostNameOnly:
		return withoutPort(cmp.Or(info.UpstreamHostname, info.UpstreamHost)), true, true
	case opUpstreamHost:
		return info.UpstreamHost, true, true
	}
	return "", false, false
}

func appendString(dst []byte, s string) ([]byte, kind) {
	if s == "" {
		return dst, missing
	}
	return append(dst, s...), text
}

func appendUnspaced(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\v', '\f', '\r':
			dst = append(dst, '_')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendHeader appends the first value of a header or of its alternative. A header
// that is there and empty is not missing.
func (p *part) appendHeader(dst []byte, h *sdk.Headers) ([]byte, kind) {
	if h == nil {
		return dst, missing
	}
	value, ok := p.header.get(h)
	if !ok && p.other.name != "" {
		value, ok = p.other.get(h)
	}
	if !ok {
		return dst, missing
	}
	return append(dst, truncate(value, p.limit)...), text
}

// appendWithoutQuery is appendHeader for a path, of which the query is left out.
func (p *part) appendWithoutQuery(dst []byte, h *sdk.Headers) ([]byte, kind) {
	start := len(dst)
	whole := *p
	whole.limit = 0
	dst, kind := whole.appendHeader(dst, h)
	if i := bytes.IndexByte(dst[start:], '?'); i >= 0 {
		dst = dst[:start+i]
	}
	if p.limit > 0 && len(dst)-start >= p.limit {
		dst = dst[:start+p.limit-1]
	}
	return dst, kind
}

func (n *header) get(h *sdk.Headers) (string, bool) {
	if n.id == sdk.HeaderOther {
		return h.Get(n.name)
	}
	return h.ID(n.id), h.HasID(n.id)
}

// longFlags are Envoy's long names, in the order of sdk's flags.
var longFlags = []string{
	"FailedLocalHealthCheck", "NoHealthyUpstream", "UpstreamRequestTimeout", "LocalReset", "UpstreamRemoteReset",
	"UpstreamConnectionFailure", "UpstreamConnectionTermination", "UpstreamOverflow", "NoRouteFound", "DelayInjected", "FaultInjected",
	"RateLimited", "UnauthorizedExternalService", "RateLimitServiceError", "DownstreamConnectionTermination",
	"UpstreamRetryLimitExceeded", "StreamIdleTimeout", "InvalidEnvoyRequestHeaders", "DownstreamProtocolError",
	"UpstreamMaxStreamDurationReached", "ResponseFromCacheFilter", "NoFilterConfigFound", "DurationTimeout", "UpstreamProtocolError",
	"NoClusterFound", "OverloadManagerTerminated", "DnsResolutionFailed", "DropOverload", "DownstreamRemoteReset",
	"UnconditionalDropOverload",
}

// appendFlags appends the names with commas, "-" when there is none: that is never
// missing, as in Envoy.
func appendFlags(dst []byte, flags sdk.ResponseFlag, long bool) []byte {
	if flags == 0 {
		return append(dst, '-')
	}
	for more := false; flags != 0; more = true {
		if more {
			dst = append(dst, ',')
		}
		var flag sdk.ResponseFlag
		flag, flags = flags.Next()
		if i := bits.TrailingZeros64(uint64(flag)); long && i < len(longFlags) {
			dst = append(dst, longFlags[i]...)
		} else {
			dst = append(dst, flag.Names()...)
		}
	}
	return dst
}

// appendStreamID appends x-request-id, which is Envoy's stream id, or our own number
// when there is none.
func appendStreamID(dst []byte, ctx *Context) ([]byte, kind) {
	if ctx.Info.LogType >= sdk.LogUpstreamPoolReady {
		return dst, missing // an attempt has none
	}
	if ctx.Request != nil {
		if id := ctx.Request.ID(sdk.HeaderRequestID); id != "" {
			return append(dst, id...), text
		}
	}
	return strconv.AppendUint(dst, ctx.Info.StreamID, 10), text
}

// appendUUID appends a random UUID of version 4.
func appendUUID(dst []byte) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], rand.Uint64())
	binary.BigEndian.PutUint64(raw[8:], rand.Uint64())
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	for i, n := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, raw[[...]int{0, 4, 6, 8, 10}[i]:n])
	}
	return dst
}

// appendAddress handles the operators that print an address, or one half of it.
func (p *part) appendAddress(dst []byte, info *sdk.StreamInfo) ([]byte, kind) {
	switch p.op {
	case opUpstreamLocal, opUpstreamLocalIP, opUpstreamLocalPort:
		return appendAddrPort(dst, info.UpstreamLocal, p.op-opUpstreamLocal)
	case opDownstreamRemote, opDownstreamRemoteIP, opDownstreamRemotePort:
		return appendAddrPort(dst, info.DownstreamRemote, p.op-opDownstreamRemote)
	case opDownstreamDirect, opDownstreamDirectIP, opDownstreamDirectPort:
		return appendAddrPort(dst, info.DownstreamDirectRemote, p.op-opDownstreamDirect)
	case opDownstreamLocal, opDownstreamLocalIP, opDownstreamLocalPort:
		if info.DownstreamLocalPath != "" {
			return appendPath(dst, info.DownstreamLocalPath, p.op-opDownstreamLocal)
		}
		return appendAddrPort(dst, info.DownstreamLocal, p.op-opDownstreamLocal)
	case opUpstreamEndpointID: // of an internal address, which there is none
		if !info.UpstreamLocal.IsValid() {
			return dst, missing
		}
		return dst, text
	case opUpstreamRemote, opUpstreamRemoteIP, opUpstreamRemotePort:
		if !info.UpstreamLocal.IsValid() { // never connected
			return dst, missing
		}
		return appendHostPort(dst, info.UpstreamHost, p.op-opUpstreamRemote)
	}
	return dst, missing
}

// The halves of an address, in the order of each family of operators.
const (
	wholeAddress op = iota
	onlyIP
	onlyPort
)

func appendAddrPort(dst []byte, a netip.AddrPort, half op) ([]byte, kind) {
	if !a.IsValid() {
		return dst, missing
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	switch half {
	case onlyIP:
		return a.Addr().AppendTo(dst), text
	case onlyPort:
		return strconv.AppendUint(dst, uint64(a.Port()), 10), number
	}
	return a.AppendTo(dst), text
}

func appendPath(dst []byte, path string, half op) ([]byte, kind) {
	if half == onlyPort {
		return dst, missing
	}
	return append(dst, path...), text
}

// appendHostPort is for an address that is known as text: "ip:port" or a path.
func appendHostPort(dst []byte, s string, half op) ([]byte, kind) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") {
		if s == "" {
			return dst, missing
		}
		return appendPath(dst, s, half)
	}
	switch half {
	case onlyIP:
		return append(dst, strings.Trim(s[:i], "[]")...), text
	case onlyPort:
		return append(dst, s[i+1:]...), number
	}
	return append(dst, s...), text
}
