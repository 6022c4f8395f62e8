package http1

import (
	"strings"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// maxNominated and maxTE bound what a connection header may ask for: it is
// refused when it names this many headers, or te of this many bytes (Envoy's
// MAX_ALLOWED_NOMINATED_HEADERS, MAX_ALLOWED_TE_VALUE_SIZE).
const (
	maxNominated = 10
	maxTE        = 256
)

// closes tells from version and headers whether the connection ends after the
// exchange.
func closes(m *sdk.Message) bool {
	connection := m.ID(sdk.HeaderConnection)
	if m.Protocol == sdk.HTTP10 {
		if !httpfield.HasToken(connection, "keep-alive") {
			return true
		}
	} else if connection != "" && httpfield.HasToken(connection, "close") {
		return true
	}
	return m.HasID(sdk.HeaderProxyConnection) && httpfield.HasToken(m.ID(sdk.HeaderProxyConnection), "close")
}

// asksUpgrade reports whether headers ask for, or grant, a switch of protocols.
func asksUpgrade(h *sdk.Headers) bool {
	return h.HasID(sdk.HeaderUpgrade) && httpfield.HasToken(h.ID(sdk.HeaderConnection), "upgrade")
}

// upgrade reports whether a request asks for a switch of protocols that is not
// to be ignored. What is ignored (h2c, unless it is asked for, as Envoy does) is removed.
func (c *config) upgrade(h *sdk.Headers) bool {
	if !asksUpgrade(h) {
		return false
	}
	value := h.ID(sdk.HeaderUpgrade)
	if httpfield.EqualFold(value, "h2c") {
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
		if item, rest = httpfield.NextToken(rest); item != "" && !c.ignores(item) {
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
	if !c.keepH2C || !h.HasID(sdk.HeaderHTTP2Settings) || !httpfield.EqualFold(h.ID(sdk.HeaderUpgrade), "h2c") {
		return false
	}
	list := h.ID(sdk.HeaderConnection)
	return countTokens(list) == 2 && httpfield.HasToken(list, "upgrade") && httpfield.HasToken(list, "http2-settings")
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
		item, list = httpfield.NextToken(list)
		if item == "" {
			continue
		}
		if item[0] == ':' {
			return false
		}
		var scratch [64]byte
		name := httpfield.String(appendLower(scratch[:0], item))
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
		dst = append(dst, httpfield.Lower(s[i]))
	}
	return dst
}

// reduceTE leaves of te the one thing that may cross a hop.
func reduceTE(h *sdk.Headers) bool {
	te := h.ID(sdk.HeaderTE)
	if len(te) >= maxTE {
		return false
	}
	if httpfield.HasToken(te, "trailers") {
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
		if item, list = httpfield.NextToken(list); item != "" {
			n++
		}
	}
	return n
}
