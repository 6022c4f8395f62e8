package route

import (
	"slices"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// RetryOn is a set of conditions under which a request is sent again.
type RetryOn uint32

// The conditions; the comment is the name in retry_on, x-envoy-retry-on and
// x-envoy-retry-grpc-on.
const (
	Retry5xx                     RetryOn = 1 << iota // 5xx
	RetryGatewayError                                // gateway-error
	RetryConnectFailure                              // connect-failure
	RetryEnvoyRatelimited                            // envoy-ratelimited
	RetryRetriable4xx                                // retriable-4xx
	RetryRefusedStream                               // refused-stream
	RetryStatusCodes                                 // retriable-status-codes
	RetryHeaders                                     // retriable-headers
	RetryReset                                       // reset
	RetryResetBeforeRequest                          // reset-before-request
	RetryHTTP3PostConnectFailure                     // http3-post-connect-failure
	RetryGRPCCancelled                               // cancelled
	RetryGRPCDeadlineExceeded                        // deadline-exceeded
	RetryGRPCInternal                                // internal
	RetryGRPCResourceExhausted                       // resource-exhausted
	RetryGRPCUnavailable                             // unavailable
)

// RetryGRPCMask is the conditions on grpc-status: those that
// x-envoy-retry-grpc-on may name, and x-envoy-retry-on may not.
const RetryGRPCMask = RetryGRPCCancelled | RetryGRPCDeadlineExceeded | RetryGRPCInternal | RetryGRPCResourceExhausted | RetryGRPCUnavailable

func retryCondition(name string) RetryOn {
	switch name {
	case "5xx":
		return Retry5xx
	case "gateway-error":
		return RetryGatewayError
	case "connect-failure":
		return RetryConnectFailure
	case "envoy-ratelimited":
		return RetryEnvoyRatelimited
	case "retriable-4xx":
		return RetryRetriable4xx
	case "refused-stream":
		return RetryRefusedStream
	case "retriable-status-codes":
		return RetryStatusCodes
	case "retriable-headers":
		return RetryHeaders
	case "reset":
		return RetryReset
	case "reset-before-request":
		return RetryResetBeforeRequest
	case "http3-post-connect-failure":
		return RetryHTTP3PostConnectFailure
	case "cancelled":
		return RetryGRPCCancelled
	case "deadline-exceeded":
		return RetryGRPCDeadlineExceeded
	case "internal":
		return RetryGRPCInternal
	case "resource-exhausted":
		return RetryGRPCResourceExhausted
	case "unavailable":
		return RetryGRPCUnavailable
	}
	return 0
}

// ParseRetryOn reads a comma-separated list of conditions; allKnown is false when
// one of them means nothing. It does not allocate, so it also serves the headers.
func ParseRetryOn(s string) (on RetryOn, allKnown bool) {
	allKnown = true
	for more := true; more; {
		var name string
		name, s, more = strings.Cut(s, ",")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		one := retryCondition(name)
		on |= one
		allKnown = allKnown && one != 0
	}
	return on, allKnown
}

// Response reports whether the conditions are for an answer, by its status, gRPC's
// included. RetryStatusCodes and RetryHeaders are not looked at.
func (on RetryOn) Response(h *sdk.Headers) bool {
	if h.HasID(sdk.HeaderEnvoyRateLimited) {
		return on&RetryEnvoyRatelimited != 0
	}
	code := h.Status()
	switch {
	case on&Retry5xx != 0 && code >= 500,
		on&RetryGatewayError != 0 && code >= 502 && code <= 504,
		on&RetryRetriable4xx != 0 && code == 409:
		return true
	}
	switch h.ID(sdk.HeaderGRPCStatus) {
	case "1":
		return on&RetryGRPCCancelled != 0
	case "4":
		return on&RetryGRPCDeadlineExceeded != 0
	case "8":
		return on&RetryGRPCResourceExhausted != 0
	case "13":
		return on&RetryGRPCInternal != 0
	case "14":
		return on&RetryGRPCUnavailable != 0
	}
	return false
}

// Reset reports whether the conditions are for an attempt that ended without an answer;
// sent says that the head of the request was written.
func (on RetryOn) Reset(e *sdk.Error, sent bool) bool {
	if e.Reset == sdk.ResetOverflow {
		return false
	}
	switch {
	case on&(Retry5xx|RetryGatewayError|RetryReset) != 0:
		return true
	case on&RetryRefusedStream != 0 && e.Reset == sdk.ResetRefused:
		return true
	case on&RetryConnectFailure != 0 && (e.Reset == sdk.ResetConnFailure || e.Reset == sdk.ResetConnTimeout):
		return true
	}
	return on&RetryResetBeforeRequest != 0 && !sent
}

// Idempotent reports whether doing a request of this method twice is as good as once
// (RFC 9110, 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// Backoff is Envoy's time before the n-th retry, n from 1: a random one below
// base * (2^n - 1), at most limit.
func Backoff(base, limit time.Duration, n uint32, random uint64) time.Duration {
	if n < 32 {
		limit = min(limit, base*time.Duration((uint64(1)<<n)-1))
	}
	if limit <= 0 {
		return 0
	}
	return time.Duration(random % uint64(limit))
}

// DefaultBackoff is the base without a policy (upstream.base_retry_backoff_ms).
const DefaultBackoff = 25 * time.Millisecond

// Envoy's defaults.
const (
	backoffMaxFactor      = 10
	defaultRateLimitedMax = 300 * time.Second
)

// RetryPolicy is a compiled envoy.config.route.v3.RetryPolicy.
type RetryPolicy struct {
	On         RetryOn
	NumRetries uint32
	// PerTryTimeout and PerTryIdleTimeout bound one attempt; 0 is none.
	PerTryTimeout     time.Duration
	PerTryIdleTimeout time.Duration
	// The n-th retry waits a random time below min(BackoffBase * (2^n - 1),
	// BackoffMax), n from 1.
	BackoffBase, BackoffMax time.Duration
	StatusCodes             []uint32      // for RetryStatusCodes
	Headers                 match.Headers // of the response, for RetryHeaders: any of them
	RequestHeaders          match.Headers // of the request: any of them; empty allows every request
	// PreviousHosts avoids hosts that were tried, choosing up to HostAttempts times.
	PreviousHosts bool
	HostAttempts  int
	RateLimited   *RateLimitedBackoff // nil when not configured
}

// RequestMatches reports whether the policy is for this request.
func (p *RetryPolicy) RequestMatches(h *sdk.Headers) bool {
	return len(p.RequestHeaders) == 0 || p.RequestHeaders.Any(h)
}

// RetriableStatus reports whether retriable_status_codes has the code.
func (p *RetryPolicy) RetriableStatus(code int) bool {
	return slices.Contains(p.StatusCodes, uint32(code))
}

// RateLimitedBackoff takes the time to wait from the response, up to Max.
type RateLimitedBackoff struct {
	Headers []ResetHeader // the first that is there counts
	Max     time.Duration
}

// ResetHeader is a response header with seconds to wait, or the time in Unix
// seconds to wait for.
type ResetHeader struct {
	Name          string // lower case
	UnixTimestamp bool
}

func compileRetry(c sdk.Compiler, pb *routev3.RetryPolicy) (*RetryPolicy, error) {
	on, known := ParseRetryOn(pb.GetRetryOn())
	if !known {
		c.At("retry_on").Warnf("%q has a condition that means nothing", pb.GetRetryOn())
	}
	p := &RetryPolicy{
		On:                on,
		NumRetries:        1,
		PerTryTimeout:     millis(pb.GetPerTryTimeout()),
		PerTryIdleTimeout: millis(pb.GetPerTryIdleTimeout()),
		StatusCodes:       pb.GetRetriableStatusCodes(),
		HostAttempts:      max(1, int(pb.GetHostSelectionRetryMaxAttempts())),
	}
	if pb.GetNumRetries() != nil {
		p.NumRetries = pb.GetNumRetries().GetValue()
	}
	if err := p.backoff(c, pb); err != nil {
		return nil, err
	}
	if err := p.extensions(c, pb); err != nil {
		return nil, err
	}
	var err error
	if p.Headers, err = match.CompileHeaders(c, "retriable_headers", pb.GetRetriableHeaders()); err != nil {
		return nil, err
	}
	p.RequestHeaders, err = match.CompileHeaders(c, "retriable_request_headers", pb.GetRetriableRequestHeaders())
	return p, err
}

func (p *RetryPolicy) backoff(c sdk.Compiler, pb *routev3.RetryPolicy) error {
	p.BackoffBase = DefaultBackoff
	if b := pb.GetRetryBackOff(); b != nil {
		p.BackoffBase = max(millis(b.GetBaseInterval()), time.Millisecond)
	}
	p.BackoffMax = backoffMaxFactor * p.BackoffBase
	if m := pb.GetRetryBackOff().GetMaxInterval(); m != nil {
		p.BackoffMax = max(millis(m), time.Millisecond)
	}
	if p.BackoffMax < p.BackoffBase {
		return c.At("retry_back_off.max_interval").Errorf("is less than base_interval")
	}
	if r := pb.GetRateLimitedRetryBackOff(); r != nil {
		p.RateLimited = &RateLimitedBackoff{Max: atLeastMilli(r.GetMaxInterval(), defaultRateLimitedMax)}
		for _, h := range r.GetResetHeaders() {
			p.RateLimited.Headers = append(p.RateLimited.Headers,
				ResetHeader{match.HeaderName(h.GetName()), h.GetFormat() == routev3.RetryPolicy_UNIX_TIMESTAMP})
		}
	}
	return nil
}

func atLeastMilli(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return max(millis(d), time.Millisecond)
}

// extensions knows the one host predicate that needs no knowledge of hosts. As in
// Envoy the type of its configuration says which it is, not its name.
func (p *RetryPolicy) extensions(c sdk.Compiler, pb *routev3.RetryPolicy) error {
	for i, h := range pb.GetRetryHostPredicate() {
		if !h.GetTypedConfig().MessageIs(&previoushostsv3.PreviousHostsPredicate{}) {
			return c.At(element("retry_host_predicate", i)).Missing("envoy.retry_host_predicates", h.GetName(), h.GetTypedConfig())
		}
		p.PreviousHosts = true
	}
	if e := pb.GetRetryPriority(); e != nil {
		return c.At("retry_priority").Missing("envoy.retry_priorities", e.GetName(), e.GetTypedConfig())
	}
	for i, e := range pb.GetRetryOptionsPredicates() {
		return c.At(element("retry_options_predicates", i)).Errorf("extension %q is not supported", e.GetName())
	}
	return nil
}
