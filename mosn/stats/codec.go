package stats

import "sofamesh.io/sofamesh/sdk"

// CodecNames are the names of what Envoy counts of HTTP/2's connections, under
// "http2." for those of clients and cluster.<name>.http2. for those of hosts. Make them
// once and share them.
type CodecNames struct{ http2 *Names }

// The counters of HTTP/2 that are counted here.
const (
	http2RxReset = iota
	http2TxReset
	http2RxMessagingError
	http2Trailers
	http2HeaderOverflow
	http2GoAwaySent
	http2KeepaliveTimeout
	http2OutboundFlood
	http2OutboundControlFlood
	http2EmptyFramesFlood
	http2PriorityFlood
	http2WindowUpdateFlood
)

// NewCodecNames returns the names.
func NewCodecNames() CodecNames {
	return CodecNames{NewNames(List{
		Gauges: []string{"http2.streams_active"},
		Counters: []string{
			"http2.rx_reset", "http2.tx_reset", "http2.rx_messaging_error", "http2.trailers", "http2.header_overflow",
			"http2.goaway_sent", "http2.keepalive_timeout", "http2.outbound_flood", "http2.outbound_control_flood",
			"http2.inbound_empty_frames_flood", "http2.inbound_priority_frames_flood",
			"http2.inbound_window_update_frames_flood",
			// These stay 0 here.
			"http2.dropped_headers_with_underscores", "http2.headers_cb_no_stream", "http2.metadata_empty_frames",
			"http2.requests_rejected_with_underscores_in_headers", "http2.stream_refused_errors", "http2.tx_flush_timeout",
		},
	})}
}

// HTTP2 are the handles of HTTP/2's stats in a scope.
type HTTP2 struct {
	StreamsActive                          sdk.Gauge
	RxReset, TxReset                       sdk.Counter
	RxMessagingError                       sdk.Counter // a message that breaks HTTP's rules
	Trailers                               sdk.Counter
	HeaderOverflow                         sdk.Counter // a head over the limit
	GoAwaySent                             sdk.Counter
	KeepaliveTimeout                       sdk.Counter
	OutboundFlood, OutboundControlFlood    sdk.Counter
	EmptyFramesFlood                       sdk.Counter
	PriorityFlood, WindowUpdateFramesFlood sdk.Counter
}

// Fault returns the counter of what a connection's end, or a stream's, was for, told by
// its details; what has no counter counts nothing.
func (h *HTTP2) Fault(details string) sdk.Counter {
	switch details {
	case "http2.invalid.header.field", "http2.violation.of.messaging.rule":
		return h.RxMessagingError
	case "http2.too_many_headers":
		return h.HeaderOverflow
	case "http2.inbound_empty_frames_flood":
		return h.EmptyFramesFlood
	case "http2.inbound_priority_frames_flood":
		return h.PriorityFlood
	case "http2.inbound_window_update_frames_flood":
		return h.WindowUpdateFramesFlood
	case "http2.outbound_control_frames_flood":
		return h.OutboundControlFlood
	case "http2.outbound_frames_flood":
		return h.OutboundFlood
	}
	return sdk.Counter{}
}

// HTTP2 makes the handles in a scope: the root's, or a cluster's. It is called when the
// first connection speaks HTTP/2, so that a proxy that never does has no such names.
func (n CodecNames) HTTP2(scope sdk.Scope) HTTP2 {
	b := BlockOf(scope, n.http2)
	return HTTP2{
		StreamsActive: b.Gauge(0),
		RxReset:       b.Counter(http2RxReset), TxReset: b.Counter(http2TxReset),
		RxMessagingError: b.Counter(http2RxMessagingError), Trailers: b.Counter(http2Trailers),
		HeaderOverflow: b.Counter(http2HeaderOverflow), GoAwaySent: b.Counter(http2GoAwaySent),
		KeepaliveTimeout: b.Counter(http2KeepaliveTimeout),
		OutboundFlood:    b.Counter(http2OutboundFlood), OutboundControlFlood: b.Counter(http2OutboundControlFlood),
		EmptyFramesFlood: b.Counter(http2EmptyFramesFlood), PriorityFlood: b.Counter(http2PriorityFlood),
		WindowUpdateFramesFlood: b.Counter(http2WindowUpdateFlood),
	}
}
