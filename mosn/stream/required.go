package stream

import "sofamesh.io/sofamesh/sdk"

// Filters may take from a head what HTTP cannot do without. As in Envoy that is noticed
// when the head is about to be written, and answered.

// requestWhole reports whether the head can go upstream; else it has answered.
func (s *Stream) requestWhole() bool {
	h := &s.req.Headers
	switch {
	case s.rpc:
	case !h.HasID(sdk.HeaderMethod):
		s.reply(removed(503, sdk.HeaderMethod))
		return false
	case !h.HasID(sdk.HeaderPath) && h.Method() != "CONNECT":
		s.reply(removed(503, sdk.HeaderPath))
		return false
	}
	return true
}

// responseWhole reports whether the head can go to the client; else it has answered.
func (s *Stream) responseWhole() bool {
	if s.rpc || s.resp.HasID(sdk.HeaderStatus) {
		return true
	}
	s.reply(removed(502, sdk.HeaderStatus))
	return false
}

func removed(status int, id sdk.HeaderID) sdk.Reply {
	r := sdk.Reply{Status: status, Body: "missing required header: " + id.Name()}
	const what = "{missing_required_header:_"
	if status == 502 {
		r.Details = "filter_removed_required_response_headers" + what + id.Name() + "}"
	} else {
		r.Details = "filter_removed_required_request_headers" + what + id.Name() + "}"
		r.Flag = sdk.FlagDownstreamProtocolError
	}
	return r
}
