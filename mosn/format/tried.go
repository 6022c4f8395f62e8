package format

import (
	"cmp"
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// appendTried appends something of each connection that was tried, with commas.
func (p *part) appendTried(dst []byte, tried []sdk.Tried) ([]byte, kind) {
	if len(tried) == 0 {
		return dst, missing
	}
	for i := range tried {
		t := &tried[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		switch p.op {
		case opHostsTried:
			dst = append(dst, t.Host...)
		case opHostsTriedOnly:
			dst = append(dst, withoutPort(t.Host)...)
		case opNamesTried:
			dst = append(dst, cmp.Or(t.Hostname, t.Host)...)
		case opNamesTriedOnly:
			dst = append(dst, withoutPort(cmp.Or(t.Hostname, t.Host))...)
		case opConnectionsTried:
			dst = strconv.AppendUint(dst, t.ConnectionID, 10)
		}
	}
	return dst, text
}

// withoutPort cuts the port off "host:port".
func withoutPort(s string) string {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || s[0] == '/' || s[0] == '@' {
		return s
	}
	return strings.Trim(s[:i], "[]")
}
