package http1

import (
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// maxNominated and maxTE bound what a connection header may ask for: it is
// refused when it names this many headers, or te of this many bytes (Envoy's
// MAX_ALLOWED_NOMINATED_HEADERS, MAX_ALLOWED_TE_VALUE_SIZE).
const (
	maxNominated = 10
	maxTE        = 256
)

// hasToken reports whether a list of tokens (RFC 9110, 5.6.1) holds the given
// lower-case one.
func hasToken(list, token string) bool {
	for list != "" {
		var item string
		item, list = nextToken(list)
		if equalFold(item, token) {
			return true
		}
	}
	return false
}

// nextToken splits a list after its first element.
func nextToken(list string) (item, rest string) {
	i := strings.IndexByte(list, ',')
	if i < 0 {
		return strings.Trim(list, " \t"), ""
	}
	return strings.Trim(list[:i], " \t"), list[i+1:]
}

// closes tells from version and headers whether the connection ends after the
// exchange.
func closes(m *sdk.Message) bool {
	connection := m.ID(sdk.HeaderConnection)
	if m.Protocol == sdk.HTTP10 {
		if !hasToken(connection, "keep-alive") {
			return true
		}
	} else if connection != "" && hasToken(connection, "close") {
		return true
	}
	return m.HasID(sdk.HeaderProxyConnection) && hasToken(m.ID(sdk.HeaderProxyConnection), "close")
}

// asksUpgrade reports whether headers ask for, or grant, a switch of protocols.
func asksUpgrade(h *sdk.Headers) bool {
	return h.HasID(sdk.HeaderUpgrade) && hasToken(h.ID(sdk.HeaderConnection), "upgrade")
}

// upgrade reports whether a request asks for a switch of protocols that is not
// to be ignored. What is ignored (h2c, unless it is asked for, as Envoy does) is removed.
func (c *config) upgrade(h *sdk.Headers) bool {
	if !asksUpgrade(h) {
		return false
	}
	value := h.ID(sdk.HeaderUpgrade)
	if equalFold(value, "h2c") {
		if !c.asksH2C(h) {
			h.RemoveID(sdk.HeaderUpgrade)
			h.RemoveID(sdk.HeaderHTTP2Settings)
		}
		return false
	}
	if len(c.ignoreUpgrade) == 0 {
		return true
	}
	var kept []string
	for rest := value; rest != ""; {
		var item string
		if item, rest = nextToken(rest); item != "" && !c.ignores(item) {
			kept = append(kept, item)
		}
	}
	if len(kept) == 0 {
		h.RemoveID(sdk.HeaderUpgrade)
		return false
	}
	h.SetID(sdk.HeaderUpgrade, strings.Join(kept, ","))
	return true
}

// asksH2C reports whether a request asks for h2c, and in the way of RFC 7540, section
// 3.2: the connection header names what belongs to that and nothing else.
func (c *config) asksH2C(h *sdk.Headers) bool {
	if !c.keepH2C || !h.HasID(sdk.HeaderHTTP2Settings) || !equalFold(h.ID(sdk.HeaderUpgrade), "h2c") {
		return false
	}
	list := h.ID(sdk.HeaderConnection)
	return countTokens(list) == 2 && hasToken(list, "upgrade") && hasToken(list, "http2-settings")
}

func (c *config) ignores(protocol string) bool {
	for i := range c.ignoreUpgrade {
		if c.ignoreUpgrade[i].Match(protocol) {
			return true
		}
	}
	return false
}

// dropNominated removes the headers that the connection header names (RFC 9110,
// 7.6.1); te stays, cut down, when it says trailers. It returns false when the
// request is to be refused: the header names too many, a pseudo header, or one
// whose removal would hide where the request came from.
func dropNominated(h *sdk.Headers) bool {
	list := h.ID(sdk.HeaderConnection)
	if count := strings.Count(list, ","); count >= maxNominated-1 && countTokens(list) >= maxNominated {
		return false
	}
	for list != "" {
		var item string
		item, list = nextToken(list)
		if item == "" {
			continue
		}
		if item[0] == ':' {
			return false
		}
		var scratch [64]byte
		name := str(appendLower(scratch[:0], item))
		switch id := sdk.LookupHeader(name); id {
		case sdk.HeaderForwardedFor, sdk.HeaderForwardedHost, sdk.HeaderForwardedProto:
			return false
		case sdk.HeaderConnection:
		case sdk.HeaderHost:
			h.RemoveID(sdk.HeaderAuthority)
		case sdk.HeaderTE:
			if !reduceTE(h) {
				return false
			}
		case sdk.HeaderOther:
			h.Remove(name)
		default:
			h.RemoveID(id)
		}
	}
	return true
}

// appendLower appends s in lower case; what is in no token becomes 0, which is in
// no name either.
func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, tokenLower[s[i]])
	}
	return dst
}

// reduceTE leaves of te the one thing that may cross a hop.
func reduceTE(h *sdk.Headers) bool {
	te := h.ID(sdk.HeaderTE)
	if len(te) >= maxTE {
		return false
	}
	if hasToken(te, "trailers") {
		h.SetID(sdk.HeaderTE, "trailers")
	} else {
		h.RemoveID(sdk.HeaderTE)
	}
	return true
}

func countTokens(list string) int {
	n := 0
	for list != "" {
		var item string
		if item, list = nextToken(list); item != "" {
			n++
		}
	}
	return n
}

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

// joinRepeated makes one field of several where the side's rule says so. Each
// value is copied once, however often its name is repeated, so that a head of
// many small fields cannot make us hold a multiple of its size.
func (c *config) joinRepeated(h *sdk.Headers) {
	for i := range h.Slots() {
		id := h.IDAt(i)
		if c.side == sdk.Downstream && !joinedInRequest(id) || c.side == sdk.Upstream && !joinedInResponse(id) {
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
		h.SetValueAt(i, str(value))
	}
}
