package stream

import (
	"net/netip"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// Origin is one way to learn who the client is from the request
// (original_ip_detection_extensions): from x-forwarded-for, or from a header of its own.
type Origin struct {
	Header string // "": x-forwarded-for
	// Hops is how many proxies stand between, of x-forwarded-for. Trusted is which peers
	// are believed instead, and passed over; nil: all are believed.
	Hops    uint32
	Trusted []netip.Prefix
	// Append adds the peer to x-forwarded-for.
	Append bool
	// Internal lets what Header tells count as an address of the mesh.
	Internal bool
	// Reject is the status of the answer to a request whose Header tells nothing; 0: it
	// goes on.
	Reject int
}

// findOrigin asks the ways in turn. The peer is meant when none tells; internal reports
// whether the address may make the request one of the mesh.
func (s *Stream) findOrigin() (a netip.Addr, internal bool, bad *sdk.Reply) {
	for i := range s.cfg.Origins {
		o := &s.cfg.Origins[i]
		trusted := o.Trusted == nil || isInternal(o.Trusted, s.info.DownstreamDirectRemote.Addr().Unmap())
		ok := false
		if trusted {
			a, internal, ok = o.find(&s.req.Headers)
		}
		if o.Append || !trusted {
			s.appendForwarded()
		}
		if ok {
			return a, internal, nil
		}
		if o.Reject != 0 {
			s.w.stats.Inc(s.cfg.Stats.RqRejectedIP)
			return a, false, &sdk.Reply{Status: o.Reject, Details: "rejecting_because_detection_failed"}
		}
	}
	return netip.Addr{}, false, nil
}

func (o *Origin) find(h *sdk.Headers) (a netip.Addr, internal, ok bool) {
	if o.Header != "" {
		a, ok = parseAddr(h.Value(o.Header))
		return a, o.Internal, ok
	}
	forwarded := h.ID(sdk.HeaderForwardedFor)
	if o.Trusted == nil {
		return lastForwarded(forwarded, int(o.Hops))
	}
	a, ok = o.lastStranger(forwarded)
	return a, strings.IndexByte(forwarded, ',') < 0, ok
}

// lastStranger is the last address of x-forwarded-for that is no proxy's, or the first
// one when all are. Where one on the way there is no address, there is none.
func (o *Origin) lastStranger(v string) (a netip.Addr, ok bool) {
	for {
		i := strings.LastIndexByte(v, ',')
		if a, ok = parseAddr(strings.TrimSpace(v[i+1:])); !ok || i < 0 || !isInternal(o.Trusted, a) {
			return a, ok
		}
		v = v[:i]
	}
}

// parseAddr is netip.ParseAddr, which makes an error that nobody reads of what cannot be
// an address.
func parseAddr(v string) (netip.Addr, bool) {
	if v == "" || len(v) > maxAddr {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(v)
	return a.Unmap(), err == nil
}

// maxAddr is the most bytes of an address, with a zone.
const maxAddr = 64
