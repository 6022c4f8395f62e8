package stream

import (
	"net/netip"
	"strings"
	"time"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// Config is one compiled connection manager
// (envoy.extensions.filters.network.http_connection_manager.v3): immutable and
// shared by all loops. Times are 0 for "no limit".
type Config struct {
	// Codecs are the protocols that connections may speak. Which one it is their first
	// bytes tell; the first codec also takes what is none of theirs.
	Codecs []sdk.CodecConfig
	// Routes is where a request finds its table when it begins.
	Routes *route.Slot
	// Listener is the name of the listener.
	Listener string
	// FilterChain is the name of the listener's filter chain.
	FilterChain string
	// ListenerMetadata is that of the listener, nil when there is none.
	ListenerMetadata *sdk.Metadata
	// Filters is the chain without its terminal router.
	Filters    []FilterConfig
	Router     // which is this
	Upgrades   []Upgrade
	AccessLogs []sdk.AccessLogger
	Tracing    *Tracing // nil: requests are not traced
	// LogStart and LogTunnel have the access log also written when a request has come and
	// when a tunnel stands; LogInterval has it written each time it is over.
	LogStart, LogTunnel bool
	LogInterval         time.Duration

	RequestTimeout           time.Duration
	RequestHeadersTimeout    time.Duration
	StreamIdleTimeout        time.Duration
	IdleTimeout              time.Duration
	MaxConnectionDuration    time.Duration
	MaxStreamDuration        time.Duration
	DelayedCloseTimeout      time.Duration
	DrainTimeout             time.Duration // between the notice of going away and its being final
	MaxRequestsPerConnection uint32
	Keepalive                Keepalive // of clients that speak HTTP/2
	// Runtime overrides fractions; nil does not.
	Runtime *runtime.Values

	ServerName   string
	ServerHeader ServerHeader

	UseRemoteAddress     bool
	TrustedHops          uint32
	Origins              []Origin       // nil: x-forwarded-for tells, with TrustedHops
	Early                edit.Mutations // of requests of HTTP, before the client is looked for
	SkipXFFAppend        bool
	LocalAddress         string // of the machine, for x-forwarded-for of loopback peers
	Internal             []netip.Prefix
	GenerateRequestID    bool
	PreserveExternalID   bool
	AlwaysSetRequestID   bool
	BareRequestID        bool // of UuidRequestIdConfig: pack_trace_reason is off
	IgnoreRequestID      bool // use_request_id_for_trace_sampling is off
	Via                  string
	UserAgent            string // the local cluster's name when add_user_agent is set
	NodeID               string
	SchemeOverwrite      string
	Proxy100Continue     bool
	StripAnyPort         bool
	StripMatchingPort    uint16 // the listener's port, 0 for "do not strip"
	StripTrailingHostDot bool
	NormalizePath        bool
	MergeSlashes         bool
	EscapedSlashes       EscapedSlashes
	AppendXForwardedPort bool
	LocalReply           *LocalReply // nil: replies stay as they are

	Stats Stats
}

// FilterConfig is one filter of the chain.
type FilterConfig struct {
	Name   string
	Config sdk.HTTPConfig
	Slot   *FilterSlot // where the configuration is instead, when it comes by itself
	// Disabled leaves the filter out where the route does not turn it on.
	Disabled bool
}

// Router is the filter that ends a chain, envoy.filters.http.router: routing is the
// stream's own work.
type Router struct {
	SuppressEnvoyHeaders bool
	// RespectExpectedRqTimeout makes a trusted x-envoy-expected-rq-timeout-ms of the
	// request its timeout.
	RespectExpectedRqTimeout bool
	NoDynamicStats           bool // responses are not counted by code
	StartChildSpan           bool // an attempt has a span of its own
	SuppressGRPCCodes        bool // suppress_grpc_request_failure_code_stats
	StrictHeaders            []sdk.HeaderID
	UpstreamLog              *UpstreamLog // nil: attempts are not logged
}

// Upgrade is one entry of upgrade_configs.
type Upgrade struct {
	Type    string // "CONNECT" for that method; in any case
	Enabled bool
	// Own makes Filters and Router the chain of such requests, instead of the connection
	// manager's.
	Own     bool
	Filters []FilterConfig
	Router  Router
}

// ServerHeader is server_header_transformation.
type ServerHeader uint8

// The transformations.
const (
	ServerOverwrite ServerHeader = iota
	ServerAppendIfAbsent
	ServerPassThrough
)

// EscapedSlashes is path_with_escaped_slashes_action.
type EscapedSlashes uint8

// The actions on %2F and %5C in a path.
const (
	EscapedKeep EscapedSlashes = iota
	EscapedReject
	EscapedRedirect
	EscapedUnescape
)

// upgrade is the entry for a type of upgrade, nil when there is none.
func (cfg *Config) upgrade(kind string) *Upgrade {
	for i := range cfg.Upgrades {
		if strings.EqualFold(cfg.Upgrades[i].Type, kind) {
			return &cfg.Upgrades[i]
		}
	}
	return nil
}

// Close implements ConnFactory.
func (cfg *Config) Close() {
	closeFilters(cfg.Filters)
	for i := range cfg.Upgrades {
		closeFilters(cfg.Upgrades[i].Filters)
	}
	if cfg.Tracing != nil && cfg.Tracing.Queue != nil {
		cfg.Tracing.Queue.Close()
	}
}

func closeFilters(list []FilterConfig) {
	for _, f := range list {
		if f.Slot != nil {
			f.Slot.Close()
		} else {
			f.Config.Close()
		}
	}
}
