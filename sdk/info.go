package sdk

import (
	"math/bits"
	"net/netip"
	"time"
)

// ResponseFlag is what went wrong with a stream, as Envoy's %RESPONSE_FLAGS%; a
// stream may have several.
type ResponseFlag uint64

// Envoy's flags (envoy/stream_info/stream_info.h), in its order of printing.
const (
	FlagFailedLocalHealthCheck     ResponseFlag = 1 << iota // LH
	FlagNoHealthyUpstream                                   // UH
	FlagUpstreamRequestTimeout                              // UT
	FlagLocalReset                                          // LR
	FlagUpstreamRemoteReset                                 // UR
	FlagUpstreamConnectionFailure                           // UF
	FlagUpstreamConnectionTerminat                          // UC
	FlagUpstreamOverflow                                    // UO
	FlagNoRouteFound                                        // NR
	FlagDelayInjected                                       // DI
	FlagFaultInjected                                       // FI
	FlagRateLimited                                         // RL
	FlagUnauthorizedExternalServic                          // UAEX
	FlagRateLimitServiceError                               // RLSE
	FlagDownstreamConnectionTermin                          // DC
	FlagUpstreamRetryLimitExceeded                          // URX
	FlagStreamIdleTimeout                                   // SI
	FlagInvalidEnvoyRequestHeaders                          // IH
	FlagDownstreamProtocolError                             // DPE
	FlagUpstreamMaxStreamDuration                           // UMSDR
	FlagResponseFromCacheFilter                             // RFCF
	FlagNoFilterConfigFound                                 // NFCF
	FlagDurationTimeout                                     // DT
	FlagUpstreamProtocolError                               // UPE
	FlagNoClusterFound                                      // NC
	FlagOverloadManager                                     // OM
	FlagDNSResolutionFailed                                 // DF
	FlagDropOverload                                        // DO
	FlagDownstreamRemoteReset                               // DR
	FlagUnconditionalDropOverload                           // UDO

	numFlags = iota
	allFlags = 1<<numFlags - 1
)

// Next takes one flag off f, in the order in which Envoy prints them: that in which
// they come up. The two of a refused retry come up before the failure that was not
// retried; else it is the order of declaration. first is 0 when f is.
func (f ResponseFlag) Next() (first, rest ResponseFlag) {
	for _, early := range [...]ResponseFlag{FlagUpstreamRetryLimitExceeded, FlagUpstreamOverflow} {
		if f&early != 0 {
			return early, f &^ early
		}
	}
	return f & -f, f & (f - 1)
}

// ParseResponseFlag returns the flag with a short name ("UF").
func ParseResponseFlag(name string) (f ResponseFlag, ok bool) {
	for rest := ResponseFlag(allFlags); rest != 0; {
		if f, rest = rest.Next(); f.Names() == name {
			return f, true
		}
	}
	return 0, false
}

// Names returns the short names, comma separated, "-" when there is none. It
// allocates only for more than one.
func (f ResponseFlag) Names() string {
	names := [numFlags]string{
		"LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
		"URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
	}
	if f &= allFlags; f == 0 {
		return "-"
	}
	first, rest := f.Next()
	list := names[bits.TrailingZeros64(uint64(first))]
	for rest != 0 {
		first, rest = rest.Next()
		list += "," + names[bits.TrailingZeros64(uint64(first))]
	}
	return list
}

// StreamInfo is what is known of one stream: filters read and write it, access
// logs print it. It belongs to the stream and is reused with it; the strings in it
// are valid until then.
//
// Times are nanoseconds on the loop's monotonic clock, 0 while it has not
// happened. StartTime is the wall clock.
type StreamInfo struct {
	StartTime time.Time

	Start              int64 // first byte of the request seen
	RequestEnd         int64 // last byte of the request received
	UpstreamAttempt    int64 // the last attempt began to look for a connection
	UpstreamReady      int64 // and had one, or knew that there is none
	UpstreamConnect    int64 // that connection was begun, perhaps for another stream
	UpstreamConnected  int64 // and stood
	UpstreamRequest    int64 // first byte sent upstream
	UpstreamRequestEnd int64 // last byte sent upstream
	UpstreamResponse   int64 // first byte of the response received
	UpstreamBody       int64 // first byte of the response's body received
	UpstreamEnd        int64 // last byte of the response received
	ResponseStart      int64 // first byte sent downstream
	End                int64
	Logged             int64 // the access log is being written

	// Codec is that of the request, where Protocol is RPC.
	Codec        *Codec
	Protocol     Protocol
	ResponseCode int
	Flags        ResponseFlag
	// Details is Envoy's %RESPONSE_CODE_DETAILS%, TerminationDetails its
	// %CONNECTION_TERMINATION_DETAILS%, FailureReason its
	// %UPSTREAM_TRANSPORT_FAILURE_REASON%.
	Details            string
	TerminationDetails string
	FailureReason      string

	// Body bytes, as Envoy counts BYTES_RECEIVED and BYTES_SENT.
	BytesReceived uint64
	BytesSent     uint64

	// Bytes on the wire, with heads and framing; those of the upstream are of the last
	// attempt and known when the log is written.
	DownstreamWire, UpstreamWire Wire

	StreamID     uint64
	ConnectionID uint64
	// Attempts is the number of times that the request was sent upstream.
	Attempts int

	RouteName       string
	VirtualHostName string
	VirtualCluster  string
	ClusterName     string // the cluster that was chosen
	ClusterStatName string // its alt_stat_name, else its name; "" when there is no such cluster
	UpstreamHost    string // ip:port or path of the host that was chosen
	// UpstreamHostname is what the endpoint is called, "" when it has no name;
	// UpstreamProtocol what is spoken with it, "" while there is no connection.
	UpstreamHostname string
	UpstreamProtocol string
	ListenerName     string
	FilterChainName  string // of the listener
	// CustomFlags are those of extensions, comma separated (%CUSTOM_FLAGS%).
	CustomFlags string
	// Tried are the connections that the request was given to, one an attempt.
	Tried []Tried

	// DownstreamRemote is the client as headers tell (XFF rules applied),
	// DownstreamDirectRemote the peer of the connection. Path is set instead for Unix
	// sockets.
	DownstreamRemote       netip.AddrPort
	DownstreamDirectRemote netip.AddrPort
	DownstreamLocal        netip.AddrPort
	DownstreamLocalPath    string
	UpstreamLocal          netip.AddrPort
	UpstreamConnectionID   uint64

	// DownstreamTLS and UpstreamTLS are nil in plain text. DownstreamFailure is Envoy's
	// %DOWNSTREAM_TRANSPORT_FAILURE_REASON%.
	DownstreamTLS     *TLSInfo
	UpstreamTLS       *TLSInfo
	DownstreamFailure string
	// RequestedServerName is the SNI that a listener filter has found, before TLS.
	RequestedServerName string

	HealthCheck bool
	// CloseConnection has the client's connection end with the response.
	CloseConnection bool
	LogType         LogType // why the access log is being written

	// Trace is the trace that the request is part of, with the span of the request; none
	// when the connection manager does not trace.
	Trace TraceContext
	// TraceForced: it is traced because a service has asked for that
	// (x-envoy-force-trace), here or at a proxy before.
	TraceForced bool

	// Dynamic is what filters write for each other and for the log. The rest is what the
	// configuration says of the parts on the request's way, nil when it says nothing or
	// the part is not chosen yet.
	Dynamic             Metadata
	ListenerMetadata    *Metadata
	VirtualHostMetadata *Metadata
	RouteMetadata       *Metadata
	ClusterMetadata     *Metadata
	HostMetadata        *Metadata // of the upstream host

	state map[string]any
}

// ProtocolName is the protocol as %PROTOCOL% prints it: an RPC is called by its codec.
func (i *StreamInfo) ProtocolName() string {
	if i.Protocol == RPC && i.Codec != nil {
		return i.Codec.Name
	}
	return i.Protocol.String()
}

// SetFilterState stores a value under a name for later filters and the log. It is
// shown there when it is a string, a number, a bool, a protobuf message, or has a
// method String; %FILTER_STATE(name:FIELD:field)% asks for a method
//
//	Field(name string) Value
func (i *StreamInfo) SetFilterState(name string, v any) {
	if i.state == nil {
		i.state = make(map[string]any)
	}
	i.state[name] = v
}

// FilterState returns what SetFilterState stored, nil when there is nothing.
func (i *StreamInfo) FilterState(name string) any { return i.state[name] }

// Reset makes i fit for another stream.
func (i *StreamInfo) Reset() {
	state := i.state
	clear(state)
	i.Dynamic.reset()
	clear(i.Tried)
	*i = StreamInfo{state: state, Dynamic: i.Dynamic, Tried: i.Tried[:0]}
}

// LogType says why an access log is written, as %ACCESS_LOG_TYPE% prints it.
type LogType uint8

// The types that there are here; LogNotSet is that of listeners.
const (
	LogNotSet LogType = iota
	LogDownstreamStart
	LogDownstreamPeriodic
	LogDownstreamEnd
	LogTunnelEstablished
	LogUpstreamPoolReady
	LogUpstreamPeriodic
	LogUpstreamEnd
	numLogTypes
)

// String returns Envoy's name.
func (t LogType) String() string {
	return [numLogTypes]string{
		"NotSet", "DownstreamStart", "DownstreamPeriodic", "DownstreamEnd", "DownstreamTunnelSuccessfullyEstablished",
		"UpstreamPoolReady", "UpstreamPeriodic", "UpstreamEnd",
	}[t]
}

// Wire counts bytes.
type Wire struct{ Received, Sent uint64 }

// Tried is a connection that a request was given to.
type Tried struct {
	Host, Hostname string
	ConnectionID   uint64
}

// Error is a failure on the request path: whose it is, what Envoy calls it, and
// whether the request may be sent again. Values are made once per kind of failure
// and never changed.
type Error struct {
	Side    Side
	Flag    ResponseFlag
	Reset   ResetReason
	Details string // for %RESPONSE_CODE_DETAILS%
	// Unsent is true when no byte of the request can have been processed upstream.
	Unsent bool
}

// Error implements error.
func (e *Error) Error() string { return e.Details }
