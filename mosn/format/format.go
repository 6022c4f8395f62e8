// Package format is Envoy's substitution formatter: text or JSON with operators
// such as %RESPONSE_CODE% that are replaced by what is known of a stream. Access
// logs, header edits and local replies use it.
//
// A [Format] is compiled once, off the loops, and immutable. [Format.Append] runs on
// a loop, for the stream of a [Context], and allocates nothing but the growth of its
// destination, and what expressions (CEL) allocate.
//
// What is missing is "-" in text and null in JSON. CR, LF and NUL of a value appear
// as \r, \n and \0 in text, so that a value can neither forge a log line nor split a
// header; Envoy relies on its codecs never to let them in.
package format

import (
	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/sdk"
)

// Default is Envoy's default format of access logs.
const Default = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` +
	`%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// Context is what operators read. Any part may be nil: its values are missing.
type Context struct {
	Info                        *sdk.StreamInfo
	Request, Response, Trailers *sdk.Headers
	// LocalReplyBody is the body of the local reply that is being made.
	LocalReplyBody string
}

// Format is a compiled format.
type Format struct {
	parts []part // of text
	json  *node  // of JSON, instead of parts
	empty string // what a missing value is in text
}

// part is a piece of text or an operator.
type part struct {
	op      op
	text    string // a literal, or an operator's string argument
	header  header // REQ, RESP, TRAILER
	other   header // after the question mark
	limit   int    // 1 + the most bytes of a value, 0 when unlimited
	time    []timePart
	path    []string  // METADATA: the keys in the namespace text
	among   []part    // COALESCE
	whose   whose     // METADATA
	origin  origin    // PATH, REQUESTED_SERVER_NAME
	names   nameOrder // REQUESTED_SERVER_NAME
	tls     tlsValue
	cut     bool     // PATH: without the query; QUERY_PARAMS: decoded
	between [2]point // COMMON_DURATION
	unit    int64    // COMMON_DURATION: nanoseconds
	program *cel.Program
}

// header is the name of a header; the zero value is none.
type header struct {
	id   sdk.HeaderID
	name string
}

// Append appends the text for ctx to dst.
func (f *Format) Append(dst []byte, ctx *Context) []byte {
	if f.json != nil {
		dst, _ = f.json.append(dst, ctx, f.empty)
		return append(dst, '\n')
	}
	return appendParts(dst, f.parts, ctx, f.empty)
}

// AppendText is Append for a format of text: dst does not leave the caller's stack, if
// that is where it is.
func (f *Format) AppendText(dst []byte, ctx *Context) []byte {
	return appendParts(dst, f.parts, ctx, f.empty)
}

// appendParts appends text; a missing value is empty.
func appendParts(dst []byte, parts []part, ctx *Context, empty string) []byte {
	for i := range parts {
		p := &parts[i]
		if p.op == opLiteral {
			dst = append(dst, p.text...)
			continue
		}
		start := len(dst)
		var kind kind
		dst, kind = p.value(dst, ctx)
		switch kind {
		case missing:
			dst = append(dst[:start], empty...)
		case text:
			dst = escapeText(dst, start)
		case raw:
			if p.limit > 0 && len(dst)-start >= p.limit {
				dst = dst[:start+p.limit-1] // cut JSON is JSON no more
			}
		}
	}
	return dst
}

// Literal returns the whole text of a format without operators.
func (f *Format) Literal() (string, bool) {
	switch {
	case f.json != nil || len(f.parts) > 1:
		return "", false
	case len(f.parts) == 0:
		return "", true
	}
	return f.parts[0].text, f.parts[0].op == opLiteral
}
