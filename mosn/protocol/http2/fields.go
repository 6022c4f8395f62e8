package http2

import (
	"strings"

	"sofamesh.io/sofamesh/mosn/protocol/http2/hpack"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// kind is what a header block is the head of.
type kind uint8

const (
	ofRequest kind = iota
	ofResponse
	ofTrailers
)

// pseudo reports whether a pseudo-header may stand in a block of this kind.
func (k kind) pseudo(id sdk.HeaderID) bool {
	switch id {
	case sdk.HeaderStatus:
		return k == ofResponse
	case sdk.HeaderMethod, sdk.HeaderScheme, sdk.HeaderAuthority, sdk.HeaderPath, sdk.HeaderProtocol:
		return k == ofRequest
	}
	return false
}

func isPseudo(id sdk.HeaderID) bool { return id != sdk.HeaderOther && id <= sdk.HeaderProtocol }

// fields reads the fields of a header block into a message, and holds what they say
// of it.
type fields struct {
	c         *conn
	m         *sdk.Message
	kind      kind
	drop      bool   // nobody wants them
	fault     *fault // the first that is wrong; what follows is read to keep the table in step
	regular   bool   // a field that is no pseudo-header has come
	repeated  bool   // a well-known name has come twice
	crumbs    bool   // or cookie
	hasLength bool
	length    int64 // content-length
}

// read reads a block. A fault of a message is left in d.fault.
func (d *fields) read(p []byte) *fault {
	dec, m := &d.c.dec, d.m
	m.Reset()
	m.Protocol, m.Codec = sdk.HTTP2, d.c.cfg.codec // of what is refused, too: it is logged
	dec.Begin(p)
	for {
		var f hpack.Field
		bad := d.drop || d.fault != nil
		more, err := dec.Next(&m.Headers, &f, bad)
		if err != nil {
			return errCompression
		}
		if !more {
			return nil
		}
		if !bad {
			d.fault = d.take(&f)
		}
	}
}

// take judges a field and adds it.
func (d *fields) take(f *hpack.Field) *fault {
	cfg, m := d.c.cfg, d.m
	if f.Invalid {
		return errField
	}
	if m.ByteSize()+f.Name+f.Value > cfg.maxBytes {
		return errTooLarge
	}
	if m.Len() >= cfg.maxCount {
		return errTooMany
	}
	if isPseudo(f.ID) {
		if d.regular || !d.kind.pseudo(f.ID) || m.HasID(f.ID) {
			return errPseudo
		}
		m.AddLine(f.ID, f.Name, f.Value, f.Sensitive)
		return nil
	}
	d.regular = true
	line := m.StartLine(f.Name + 2 + f.Value)
	name, value := httpfield.String(line[:f.Name]), httpfield.String(line[f.Name+2:])
	if f.ID == sdk.HeaderOther {
		if cfg.underscore != httpfield.UnderscoreAllow && strings.IndexByte(name, '_') >= 0 {
			if cfg.underscore == httpfield.UnderscoreDrop {
				return nil
			}
			return errUnderscore
		}
	} else if keep, err := d.known(f.ID, value); !keep || err != nil {
		return err
	}
	m.AddLine(f.ID, f.Name, f.Value, f.Sensitive)
	return nil
}

// known judges a field that means something to us, and tells whether it is to be
// kept. What frames or routes a message is dropped from trailers, as by http1.
func (d *fields) known(id sdk.HeaderID, value string) (keep bool, err *fault) {
	switch id {
	case sdk.HeaderConnection, sdk.HeaderKeepAlive, sdk.HeaderProxyConnection, sdk.HeaderTransferEncoding, sdk.HeaderUpgrade:
		return false, errHopByHop
	case sdk.HeaderTE:
		if value != "trailers" {
			return false, errHopByHop
		}
	case sdk.HeaderContentLength:
		if d.kind == ofTrailers {
			return false, nil
		}
		n, ok := httpfield.ParseLength(value)
		if !ok || n > 1<<63-1 || d.hasLength {
			return false, errLength
		}
		d.hasLength, d.length = true, int64(n)
	case sdk.HeaderHost:
		if d.kind != ofResponse {
			return false, d.host(value)
		}
	case sdk.HeaderCookie:
		d.crumbs = d.crumbs || d.m.HasID(id)
		return true, nil
	}
	d.repeated = d.repeated || d.m.HasID(id)
	return true, nil
}

// host takes the host of a request, which stands for a missing :authority and must
// else be the same.
func (d *fields) host(value string) *fault {
	switch {
	case d.kind == ofTrailers:
	case !d.m.HasID(sdk.HeaderAuthority):
		d.m.AddID(sdk.HeaderAuthority, value)
	case d.m.Authority() != value:
		return errHost
	}
	return nil
}

// join makes one field of those that are one thing in pieces.
func (d *fields) join() {
	if d.crumbs {
		joinCookies(&d.m.Headers)
	}
	if d.repeated {
		httpfield.Join(&d.m.Headers, d.c.cfg.side)
	}
}

// joinCookies puts the crumbs of cookies together (RFC 9113, 8.2.3). The field comes
// last, and is as sensitive as any of its parts.
func joinCookies(h *sdk.Headers) {
	const name, sep = "cookie", "; "
	size, sensitive := 0, false
	for i := h.Find(name, 0); i >= 0; i = h.Find(name, i+1) {
		size += len(h.ValueAt(i)) + len(sep)
		sensitive = sensitive || h.SensitiveAt(i)
	}
	size -= len(sep)
	line := h.StartLine(len(name) + 2 + size + 2)
	n := copy(line, name+": ")
	first := h.Find(name, 0)
	for i := first; i >= 0; i = h.Find(name, i+1) {
		if i != first {
			n += copy(line[n:], sep)
		}
		n += copy(line[n:], h.ValueAt(i))
	}
	copy(line[n:], "\r\n")
	h.RemoveID(sdk.HeaderCookie)
	h.AddLine(sdk.HeaderCookie, len(name), size, sensitive)
}
