package http1

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// statusLine is a status line taken apart. The reason phrase is dropped: what is
// written is always the standard one, as with Envoy.
type statusLine struct {
	version version
	digits  []byte // aliases the input
	code    int
}

// parse reads the first line of p and returns its length, 0 when p holds no
// whole line. A status is three digits, 100 to 999 (stricter: Envoy reads any
// integer from 20 on, "+20" and "2000" included).
func (l *statusLine) parse(p []byte) (int, error) {
	nl := bytes.IndexByte(p, '\n')
	if nl < 0 {
		return 0, nil
	}
	if invalid(p[:nl]) {
		return 0, errCharacters
	}
	word, rest := island(p[:nl])
	var ok bool
	if l.version, ok = parseVersion(word); !ok || len(word) == 0 {
		return 0, errVersion
	}
	l.digits, _ = island(rest)
	if len(l.digits) != 3 || l.digits[0] == '0' {
		return 0, errStatusLine
	}
	l.code = 0
	for _, c := range l.digits {
		if c < '0' || c > '9' {
			return 0, errStatusLine
		}
		l.code = l.code*10 + int(c-'0')
	}
	return nl + 1, nil
}

// response makes the view of a response from its line and its fields, which are
// in m, and judges it as a whole.
func (c *config) response(l *statusLine, f *framing, m *sdk.Message) error {
	if f.tooMany {
		return errTooMany
	}
	m.Protocol = sdk.HTTP11
	if l.version != v11 {
		m.Protocol = sdk.HTTP10
	}
	m.AddBytes(sdk.HeaderStatus, nil, l.digits)
	if f.repeated {
		httpfield.Join(&m.Headers, c.side)
	}
	if err := c.lengths(f, m, false); err != nil {
		return err
	}
	if l.code < 200 || l.code == 204 {
		if f.coding != notCoded {
			return errNoCoding
		}
		if f.hasLength {
			if m.ID(sdk.HeaderContentLength) != "0" {
				return errNoLength
			}
			m.RemoveID(sdk.HeaderContentLength)
		}
	}
	m.Close = closes(m)
	return nil
}
