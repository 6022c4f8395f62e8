package http1

import "sofamesh.io/sofamesh/sdk"

// The malformed messages. Status and details are Envoy's (its
// Http1ResponseCodeDetails); the status matters on the downstream side only.
var (
	errMethod      = malformed("http1: the method is unknown or malformed")
	errRequestLine = malformed("http1: the request line is malformed")
	errStatusLine  = malformed("http1: the status line is malformed")
	errVersion     = malformed("http1: the version is malformed")
	errTarget      = malformed("http1: the request target is malformed")
	errName        = malformed("http1: a header has a malformed name or no colon")
	errLength      = malformed("http1: content-length is not one decimal number")
	errChunkSize   = malformed("http1: a chunk size is malformed")
	errChunkEnd    = malformed("http1: a chunk does not end where its size says")
	errChunkLine   = malformed("http1: the line of a chunk size is too long")
	errUnsolicited = malformed("http1: bytes from a server that was asked nothing")

	errCharacters  = refused(400, "http1.invalid_characters", "http1: a control character in the head")
	errAuthority   = refused(400, "http.invalid_authority", "http1: an invalid character in the host")
	errURL         = refused(400, "http1.invalid_url", "http1: the request target is not a valid URL")
	errScheme      = refused(400, "http1.invalid_scheme", "http1: the scheme is neither http nor https")
	errUnderscore  = refused(400, "http1.unexpected_underscore", "http1: an underscore in a header name")
	errConnection  = refused(400, "http1.connection_header_rejected", "http1: the connection header names what it must not")
	errBothLengths = refused(400, "http1.content_length_and_chunked_not_allowed", "http1: content-length with transfer-encoding")
	errNoBody      = refused(400, "http1.body_disallowed", "http1: a CONNECT request with content-length")
	errNoCoding    = refused(400, "http1.transfer_encoding_not_allowed", "http1: transfer-encoding with status 1xx or 204")
	errNoLength    = refused(400, "http1.content_length_not_allowed", "http1: content-length with status 1xx or 204")
	errCoding      = refused(501, "http1.invalid_transfer_encoding", "http1: a transfer-encoding other than chunked")
	errTooLarge    = refused(431, "http1.headers_too_large", "http1: the head or the trailers are too large")
	errTooMany     = refused(431, "http1.too_many_headers", "http1: too many headers")
	errLowVersion  = refused(426, "low_version", "http1: HTTP/1.0 is not enabled")
)

// What a peer may cut off by closing; there is nobody left to answer.
var (
	errHeadCutOff = refused(0, "", "http1: the connection ended within a head")
	errBodyCutOff = refused(0, "", "http1: the connection ended within a body")
)

// What we are asked to write and must not.
var (
	errWriteValue  = refused(0, "", "http1: a header value to be written holds a control character")
	errWriteName   = refused(0, "", "http1: a header name to be written is malformed")
	errWriteLine   = refused(0, "", "http1: method, path, authority or status to be written is missing or malformed")
	errWriteLength = refused(0, "", "http1: content-length to be written is not one decimal number")
	errWriteOrder  = refused(0, "", "http1: a head is written where none is due")
)

func malformed(text string) *sdk.CodecError { return refused(400, "http1.codec_error", text) }

func refused(status int, details, text string) *sdk.CodecError {
	return &sdk.CodecError{Status: status, Details: details, Text: text}
}
