package stream

import (
	"net/netip"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func TestOrigin(t *testing.T) {
	known := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	for _, tt := range []struct {
		o                 Origin
		header            string
		want              string
		internal, missing bool
	}{
		{o: Origin{Header: "x-ip"}, header: "10.0.0.1", want: "10.0.0.1"},
		{o: Origin{Header: "x-ip", Internal: true}, header: "::ffff:10.0.0.1", want: "10.0.0.1", internal: true},
		{o: Origin{Header: "x-ip"}, missing: true},
		{o: Origin{Header: "x-ip"}, header: "10.0.0.1:80", missing: true},
		{o: Origin{}, header: "1.1.1.1", want: "1.1.1.1", internal: true},
		{o: Origin{Hops: 1}, header: "1.1.1.1, 2.2.2.2", want: "1.1.1.1"},
		{o: Origin{Hops: 1}, header: "1.1.1.1", missing: true},
		{o: Origin{Trusted: known}, header: "1.1.1.1,192.168.0.1", want: "1.1.1.1"},
		{o: Origin{Trusted: known}, header: "192.168.0.2,192.168.0.1", want: "192.168.0.2"},
		{o: Origin{Trusted: known}, header: "1.1.1.1", want: "1.1.1.1", internal: true},
		{o: Origin{Trusted: known}, header: "1.1.1.1, x, 192.168.0.1", missing: true},
		{o: Origin{Trusted: known}, header: "1.1.1.1,192.168.0.1,", missing: true},
		{o: Origin{Trusted: known}, missing: true},
	} {
		h := &sdk.Headers{}
		if name := tt.o.Header; name != "" {
			h.Add(name, tt.header)
		} else if tt.header != "" {
			h.AddID(sdk.HeaderForwardedFor, tt.header)
		}
		a, internal, ok := tt.o.find(h)
		if ok == tt.missing || ok && (a.String() != tt.want || internal != tt.internal) {
			t.Errorf("%+v of %q: %v, %v, %v", tt.o, tt.header, a, internal, ok)
		}
	}
}

// TestOriginRejects: a request that does not tell who asks is refused, and counted.
func TestOriginRejects(t *testing.T) {
	w := newWorld(t, setup{edit: func(cfg *Config) {
		cfg.UseRemoteAddress, cfg.Origins = false, []Origin{{Header: "x-ip", Reject: 401}}
	}})
	c := w.client()
	w.send(c, get)
	w.stats("downstream_rq_rejected_via_ip_detection", 1, "downstream_rq_4xx", 1)
}
