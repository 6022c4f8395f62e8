package httpfield

import "sofamesh.io/sofamesh/sdk"

// joinedInRequest reports whether several fields of a name become one in a
// request, as Envoy joins those that it keeps in fixed places: then nobody reads
// the first and overlooks the others.
func joinedInRequest(id sdk.HeaderID) bool {
	switch id {
	case sdk.HeaderOther, sdk.HeaderTrailer, sdk.HeaderHTTP2Settings, sdk.HeaderServer, sdk.HeaderDate, sdk.HeaderLocation,
		sdk.HeaderCookie, sdk.HeaderETag, sdk.HeaderGRPCStatus, sdk.HeaderGRPCMessage, sdk.HeaderEnvoyImmediateHealthCheckFail,
		sdk.HeaderEnvoyOverloaded, sdk.HeaderEnvoyRateLimited, sdk.HeaderEnvoyUpstreamCanary,
		sdk.HeaderEnvoyUpstreamHealthCheckedCluster, sdk.HeaderEnvoyUpstreamServiceTime,
		sdk.HeaderRPCStatus, sdk.HeaderRPCVersion, sdk.HeaderRPCGroup, sdk.HeaderRPCGeneric:
		return false
	}
	return true
}

// joinedInResponse is joinedInRequest for responses.
func joinedInResponse(id sdk.HeaderID) bool {
	switch id {
	case sdk.HeaderContentType, sdk.HeaderConnection, sdk.HeaderKeepAlive, sdk.HeaderProxyConnection, sdk.HeaderUpgrade,
		sdk.HeaderDate, sdk.HeaderServer, sdk.HeaderVia, sdk.HeaderLocation, sdk.HeaderRequestID, sdk.HeaderCacheControl,
		sdk.HeaderETag, sdk.HeaderGRPCStatus, sdk.HeaderGRPCMessage, sdk.HeaderEnvoyAttemptCount,
		sdk.HeaderEnvoyDecoratorOperation, sdk.HeaderEnvoyImmediateHealthCheckFail, sdk.HeaderEnvoyRateLimited,
		sdk.HeaderEnvoyUpstreamCanary, sdk.HeaderEnvoyUpstreamHealthCheckedCluster, sdk.HeaderEnvoyUpstreamServiceTime:
		return true
	}
	return false
}

// Join makes one field of several with one name where the rule for messages that
// come from that side says so. Each value is copied once, however often its name is
// repeated, so that a head of many small fields cannot make us hold a multiple of
// its size.
func Join(h *sdk.Headers, side sdk.Side) {
	for i := range h.Slots() {
		id := h.IDAt(i)
		if side == sdk.Downstream && !joinedInRequest(id) || side == sdk.Upstream && !joinedInResponse(id) {
			continue
		}
		next := h.Find(id.Name(), i+1)
		if id == sdk.HeaderOther || next < 0 {
			continue
		}
		value := []byte(h.ValueAt(i))
		for ; next >= 0; next = h.Find(id.Name(), next+1) {
			value = append(append(value, ','), h.ValueAt(next)...)
			h.RemoveAt(next)
		}
		h.SetValueAt(i, String(value))
	}
}
