package http2

import (
	"encoding/base64"
	"encoding/binary"

	"sofamesh.io/sofamesh/sdk"
)

// Switched implements sdk.Switcher: HTTP/1's Upgrade to h2c (RFC 7540, 3.2), which
// RFC 9113 no longer has and some clients still use. The request is stream 1.
func (c *conn) Switched(request *sdk.Message) (id uint64, ok bool) {
	text := request.ID(sdk.HeaderHTTP2Settings)
	if c.cfg.side == sdk.Upstream || c.last != 0 || len(text) > maxSettings*settingSize*4/3 {
		return 0, false
	}
	p, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(p)%settingSize != 0 {
		return 0, false
	}
	for ; len(p) > 0; p = p[settingSize:] {
		if c.setting(binary.BigEndian.Uint16(p), be32(p[2:])) != nil {
			return 0, false
		}
	}
	c.last = 1
	c.opened++
	c.open(1).flags |= remoteEnd
	return 1, true
}
