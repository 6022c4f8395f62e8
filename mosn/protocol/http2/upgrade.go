package http2

import "encoding/base64"

// Upgraded implements sdk.Upgrader. The client's settings count at once; its preface
// and its SETTINGS follow as on any connection.
func (c *conn) Upgraded(settings string) (id uint64, err error) {
	p, err := base64.RawURLEncoding.DecodeString(settings)
	if err != nil || len(p)%settingSize != 0 || len(p) > maxSettings*settingSize {
		return 0, &errSettings.fatal
	}
	for ; len(p) > 0; p = p[settingSize:] {
		if f := c.setting(uint16(p[0])<<8|uint16(p[1]), be32(p[2:])); f != nil {
			return 0, &f.fatal
		}
	}
	c.last = 1
	c.opened++
	c.open(1).flags |= remoteEnd
	return 1, nil
}
