package stream

import (
	"strings"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// speak settles which protocol the connection speaks.
func (d *serverConn) speak(cc sdk.CodecConfig) { d.speakBy(cc, cc.New()) }

func (d *serverConn) speakBy(cc sdk.CodecConfig, conn sdk.CodecConn) {
	if d.codec != nil {
		d.w.stats.AddGauge(d.counted.cxActive, -1)
	}
	codec := cc.Codec()
	d.codec, d.rpc, d.flow = conn, codec.RPC, codec.FlowControl
	d.speech = nil
	if t, ok := d.codec.(sdk.Talker); ok {
		d.speech = &speech{talker: t}
		d.speech.clock, _ = d.codec.(sdk.Clocked)
	}
	if codec.Mode == sdk.Multiplexed {
		d.share()
	}
	if n := cc.ReadLimit(); n > eventloop.DefaultReadLimit {
		d.c.SetReadLimit(n)
	}
	st := &d.cfg.Stats
	switch {
	case d.rpc:
		d.counted = byProtocol{st.CxRPCTotal, st.RqRPCTotal, st.CxRPCActive, nil}
	case d.shared != nil:
		d.counted = byProtocol{st.CxHTTP2Total, st.RqHTTP2Total, st.CxHTTP2Active, &st.HTTP2}
	default:
		d.counted = byProtocol{st.CxHTTP1Total, st.RqHTTP1Total, st.CxHTTP1Active, nil}
	}
	d.w.stats.Inc(d.counted.cxTotal)
	d.w.stats.AddGauge(d.counted.cxActive, 1)
}

// speech is what a connection has whose codec says something by itself.
type speech struct {
	talker sdk.Talker
	clock  sdk.Clocked // nil when the codec does not care for time
	queued bool        // the connection is in the worker's list of talkers
	next   *serverConn // there
}

// byProtocol are the stats of one protocol.
type byProtocol struct {
	cxTotal, rqTotal sdk.Counter
	cxActive         sdk.Gauge
	http2            *stats.HTTP2 // nil: it is not HTTP/2
}

// agreed returns the codec that was agreed on in TLS (ALPN), nil if none was that the
// first bytes need not be asked for: an RPC may come in what was called HTTP/1.
func (d *serverConn) agreed() sdk.CodecConfig {
	if t := d.c.TLS(); t != nil && t.ALPN == "h2" {
		for _, cc := range d.cfg.Codecs {
			if cc.Codec().Name == "http2" {
				return cc
			}
		}
	}
	return nil
}

// notHTTP2 reports whether HTTP/2 is spoken where HTTP/1 was agreed on.
func (d *serverConn) notHTTP2(cc sdk.CodecConfig) bool {
	t := d.c.TLS()
	return t != nil && strings.HasPrefix(t.ALPN, "http/1.") && cc.Codec().Name == "http2"
}

// detect finds out from the first bytes which protocol the connection speaks, and
// reports whether it is known. What is nobody's goes to the first codec, as with
// Envoy's http_inspector, and most likely is refused by it.
func (d *serverConn) detect(in []byte) bool {
	if d.codec == nil && len(in) > 0 {
		cc, verdict := d.agreed(), sdk.Matched
		if cc == nil {
			cc, verdict = sdk.Detect(d.cfg.Codecs[1:], in)
		}
		if verdict == sdk.Matched && d.notHTTP2(cc) {
			verdict = sdk.NoMatch
		}
		switch verdict {
		case sdk.Matched:
			d.speak(cc)
			if d.lastOne { // it has drained when there was nobody yet to be told
				d.drain()
			}
		case sdk.NoMatch:
			d.speak(d.cfg.Codecs[0])
		}
	}
	return d.codec != nil
}
