package httpfield

// The values of CodecOptions.UnderscoreAction, which are those of Envoy's
// HttpProtocolOptions.HeadersWithUnderscoresAction.
const (
	UnderscoreAllow = iota
	UnderscoreReject
	UnderscoreDrop
)

// Envoy's limits of a head when nothing is configured: max_request_headers_kb, the same
// of upstream responses, and max_headers_count.
const (
	DefaultRequestBytes  = 60 << 10
	DefaultResponseBytes = 80 << 10
	DefaultHeaderCount   = 100
)
