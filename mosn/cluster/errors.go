package cluster

import (
	"errors"
	"strings"
	"syscall"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// Why a Call failed. Details is Envoy's text for a failure before the response's
// head; what the transport had to say is Call.TransportFailure.
var (
	// ErrPendingOverflow: max_pending_requests, so that no connection was chosen.
	ErrPendingOverflow = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagUpstreamOverflow, Reset: sdk.ResetOverflow, Unsent: true,
		Details: "upstream_reset_before_response_started{overflow}",
	}
	// ErrOverflow: max_requests refused the request.
	ErrOverflow = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagUpstreamOverflow, Reset: sdk.ResetOverflow, Unsent: true,
		Details: "upstream_reset_before_response_started{overflow}",
	}
	// ErrConnFailure: no connection could be made.
	ErrConnFailure = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamConnectionFailure, Reset: sdk.ResetConnFailure, Unsent: true,
		Details: "upstream_reset_before_response_started{remote_connection_failure}",
	}
	// ErrConnTimeout: no connection within connect_timeout.
	ErrConnTimeout = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamConnectionFailure, Reset: sdk.ResetConnTimeout, Unsent: true,
		Details: "upstream_reset_before_response_started{connection_timeout}",
	}
	// ErrConnLost: the connection ended before any byte of the answer, or ended an
	// upgraded exchange.
	ErrConnLost = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamConnectionTerminat, Reset: sdk.ResetConnLost,
		Details: "upstream_reset_before_response_started{connection_termination}",
	}
	// ErrConnLostUnsent is ErrConnLost when the socket had taken no byte of the request.
	ErrConnLostUnsent = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamConnectionTerminat, Reset: sdk.ResetConnLost, Unsent: true,
		Details: "upstream_reset_before_response_started{connection_termination}",
	}
	// ErrProtocol: the answer is malformed, or was cut off within head or body.
	ErrProtocol = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamProtocolError, Reset: sdk.ResetProtocol,
		Details: "upstream_reset_before_response_started{protocol_error}",
	}
	// ErrUnwritable: the codec refuses the request, found where another loop has the
	// connection, so that WriteHeaders could not say so.
	ErrUnwritable = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagUpstreamProtocolError, Reset: sdk.ResetProtocol,
		Details: "upstream_reset_before_response_started{protocol_error}",
	}
	// ErrRemoteReset: the host gave up the stream.
	ErrRemoteReset = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamRemoteReset, Reset: sdk.ResetRemote,
		Details: "upstream_reset_before_response_started{remote_reset}",
	}
	// ErrRefused: the host refused the stream and has certainly not processed it.
	ErrRefused = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamRemoteReset, Reset: sdk.ResetRefused, Unsent: true,
		Details: "upstream_reset_before_response_started{remote_refused_stream_reset}",
	}
)

// FailureStatus is what an attempt that failed before an answer counts as, and the
// status of the answer that the proxy gives in place of one.
func FailureStatus(e *sdk.Error) int {
	if e.Reset == sdk.ResetProtocol {
		return 502
	}
	return 503
}

// FailureText is the body of that answer; retried says that the attempt was not the first.
func FailureText(e *sdk.Error, retried bool) string {
	again := ""
	if retried {
		again = "retried and the latest "
	}
	return "upstream connect error or disconnect/reset before headers. " + again + "reset reason: " + e.Reset.String()
}

// FailureDetails is what %RESPONSE_CODE_DETAILS% has in braces: why the attempt failed,
// and what the transport says of it ("" for nothing).
func FailureDetails(e *sdk.Error, transport string) string {
	d := strings.ReplaceAll(e.Reset.String(), " ", "_")
	if transport != "" {
		d += "|" + strings.ReplaceAll(transport, " ", "_")
	}
	return d
}

// transportFailure is Envoy's %UPSTREAM_TRANSPORT_FAILURE_REASON% for a connection
// that could not be made, "" for a timeout.
func transportFailure(err error) string {
	if e, ok := errors.AsType[*eventloop.Error](err); ok {
		if e.Kind == eventloop.KindTimeout {
			return ""
		}
		if e.Cause != nil {
			return e.Cause.Error()
		}
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	text := errno.Error() // the C library's text, but in lower case
	return "delayed connect error: " + string(text[0]&^0x20) + text[1:]
}
