package stream

import "sofamesh.io/sofamesh/sdk"

// changeOver has the connection speak HTTP/2 from here on, as the request asks for; it
// becomes the first stream (RFC 7540, section 3.2). A request that is not all here yet, or
// does not ask properly, goes on as if it had not asked. upgrade_configs must allow it
// (CodecOptions.KeepH2C); Envoy never does.
func (s *Stream) changeOver() *sdk.Reply {
	m, d := &s.req, s.conn
	cc := s.cfg.http2()
	wanted := cc != nil && s.requestEnded && d.shared == nil
	if wanted {
		conn := cc.New()
		id, ok := conn.(sdk.Switcher).Switched(m)
		if !ok {
			return s.bad(400, "http1.invalid_http2_settings", "")
		}
		s.switchProtocols()
		d.cur = nil
		d.speakBy(cc, conn)
		s.id = id
		d.keep(id, s)
		d.wrote()
	}
	m.RemoveID(sdk.HeaderConnection)
	m.RemoveID(sdk.HeaderUpgrade)
	m.RemoveID(sdk.HeaderHTTP2Settings)
	return nil
}

// switchProtocols writes the 101.
func (s *Stream) switchProtocols() {
	m := &s.w.msg
	m.Reset()
	m.SetStatus(101)
	m.Upgrade = true
	m.AddID(sdk.HeaderConnection, "Upgrade")
	m.AddID(sdk.HeaderUpgrade, "h2c")
	_ = s.conn.writeHeaders(s, m, false)
}

// http2 returns the codec of HTTP/2, which is a Switcher; nil when the listener does not
// speak it.
func (cfg *Config) http2() sdk.CodecConfig {
	for _, cc := range cfg.Codecs {
		if cc.Codec().Name == "http2" {
			return cc
		}
	}
	return nil
}
