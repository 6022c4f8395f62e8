package stream

import (
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

// checkStrictly refuses a request that wants something of the router by a header of
// which it makes no sense (strict_check_headers).
func (u *upstream) checkStrictly() *sdk.Reply {
	h := &u.s.req.Headers
	for _, id := range u.s.router.StrictHeaders {
		if h.HasID(id) && !sensible(id, h.ID(id)) {
			return &sdk.Reply{
				Status: 400, Body: "invalid header '" + id.Name() + "' with value '" + h.ID(id) + "'",
				Details: "request_headers_failed_strict_check{" + id.Name() + "}", Flag: sdk.FlagInvalidEnvoyRequestHeaders,
			}
		}
	}
	return nil
}

// sensible reports whether the router can read the value: a list of conditions, or a
// number.
func sensible(id sdk.HeaderID, value string) bool {
	switch id {
	case sdk.HeaderEnvoyRetryOn:
		on, known := route.ParseRetryOn(value)
		return known && on&route.RetryGRPCMask == 0
	case sdk.HeaderEnvoyRetryGRPCOn:
		on, known := route.ParseRetryOn(value)
		return known && on&^route.RetryGRPCMask == 0
	}
	_, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
	return err == nil
}
