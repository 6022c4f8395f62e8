package format

import (
	"fmt"
	"strings"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// origin says where a path or host is taken from: before or after the proxy changed it.
type origin uint8

const (
	originalOrCurrent origin = iota
	onlyOriginal
	onlyCurrent
)

// parsePath reads "WQ|NQ:ORIG|PATH|ORIG_OR_PATH", each of which may be left out.
func (p *part) parsePath(args string) error {
	query, from, _ := strings.Cut(args, ":")
	switch query {
	case "WQ", "":
	case "NQ":
		p.cut = true
	default:
		return fmt.Errorf("%q is neither WQ nor NQ", query)
	}
	return p.parseOrigin(from, "PATH")
}

func (p *part) parseOrigin(from, current string) error {
	switch from {
	case "ORIG_OR_" + current, "":
	case "ORIG":
		p.origin = onlyOriginal
	case current:
		p.origin = onlyCurrent
	default:
		return fmt.Errorf("%q is not ORIG, %s or ORIG_OR_%s", from, current, current)
	}
	return nil
}

func parseQueryParams(args string) error {
	switch args {
	case "ORIG", "DECODED", "": // what Envoy decodes it encodes again
		return nil
	}
	return fmt.Errorf("%q is neither ORIG nor DECODED", args)
}

// choose returns what the proxy found, or what it made of it.
func (p *part) choose(original, current string) string {
	if p.origin != onlyCurrent && original != "" || p.origin == onlyOriginal {
		return original
	}
	return current
}

// appendRequest handles the operators that look at the request's path.
func (p *part) appendRequest(dst []byte, h *sdk.Headers) ([]byte, kind) {
	if h == nil {
		return dst, missing
	}
	switch p.op {
	case opQueryParam:
		start := len(dst)
		// A value that is decoded is made behind dst, and then moved.
		value, grown, ok := match.DecodedParameter(dst, h.Path(), p.text)
		if !ok {
			return dst, missing
		}
		return append(grown[:start], truncate(value, p.limit)...), text
	case opQueryParams:
		_, query, ok := strings.Cut(h.Path(), "?")
		if !ok || query == "" {
			return dst, missing
		}
		return append(dst, truncate(query, p.limit)...), text
	}
	path := p.choose(h.ID(sdk.HeaderEnvoyOriginalPath), h.Path())
	if path == "" {
		return dst, missing
	}
	if p.cut {
		path, _, _ = strings.Cut(path, "?")
	}
	return append(dst, truncate(path, p.limit)...), text
}

// size is the length of all names and values.
func size(h *sdk.Headers) uint64 {
	if h == nil {
		return 0
	}
	n := 0
	for name, value := range h.All() {
		n += len(name) + len(value)
	}
	return uint64(n)
}
