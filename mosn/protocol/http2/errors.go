package http2

import "sofamesh.io/sofamesh/sdk"

// fault is what is wrong with what the peer sent, and how it is told.
type fault struct {
	fatal, stream sdk.CodecError // told when it ends the connection, and when only a stream
	code          errorCode
	scope         scope
}

// scope is how far a fault reaches.
type scope uint8

const (
	ofConnection scope = iota
	ofStream
	ofMessage // a malformed message: stream_error_on_invalid_http_message decides
)

// Error makes a *fault an error, for the rule of package state; Decode returns the
// sdk.CodecError in it.
func (f *fault) Error() string { return f.fatal.Text }

// Envoy's response code details.
const (
	detailsField     = "http2.invalid.header.field"
	detailsMessaging = "http2.violation.of.messaging.rule"
	detailsLarge     = "http2.too_many_headers"
	detailsEmpty     = "http2.inbound_empty_frames_flood"
	detailsOutbound  = "http2.outbound_frames_flood"
	detailsProtocol  = "http2.protocol_error" // ours; Envoy's codec has no name for it
	detailsFlood     = "http2.inbound_flood"  // ours as well
)

// What ends the connection.
var (
	errPreface      = fatal(codeProtocol, detailsProtocol, "http2: the connection does not begin with the preface of HTTP/2")
	errFirstFrame   = fatal(codeProtocol, detailsProtocol, "http2: the first frame is not SETTINGS")
	errFrameSize    = fatal(codeFrameSize, detailsProtocol, "http2: a frame has a length that its type must not have")
	errPadding      = fatal(codeProtocol, detailsProtocol, "http2: more padding than payload")
	errStreamID     = fatal(codeProtocol, detailsProtocol, "http2: a frame of a stream that it must not have")
	errIdle         = fatal(codeProtocol, detailsProtocol, "http2: a frame of a stream that was not opened")
	errClosed       = fatal(codeStreamClosed, detailsProtocol, "http2: HEADERS of a stream that is closed")
	errContinuation = fatal(codeProtocol, detailsProtocol, "http2: CONTINUATION where there is nothing to continue, or something else where there is")
	errPush         = fatal(codeProtocol, detailsProtocol, "http2: PUSH_PROMISE, which is not allowed here")
	errSelf         = fatal(codeProtocol, detailsProtocol, "http2: a stream that depends on itself")
	errSetting      = fatal(codeProtocol, detailsProtocol, "http2: a setting with a value that it must not have")
	errWindowValue  = fatal(codeFlowControl, detailsProtocol, "http2: a window beyond 2147483647")
	errNoIncrement  = fatal(codeProtocol, detailsProtocol, "http2: WINDOW_UPDATE by 0")
	errOverrun      = fatal(codeFlowControl, detailsProtocol, "http2: more data than the window of the connection allows")
	errCompression  = fatal(codeCompression, detailsProtocol, "http2: a header block cannot be decompressed")
	errCutOff       = fatal(codeNone, detailsProtocol, "http2: the connection ended within a message")
)

// What costs a peer its connection because it is too much of something.
var (
	errBlock      = fatal(codeCalm, detailsLarge, "http2: a header block is too long, or in too many pieces")
	errSettings   = fatal(codeCalm, detailsFlood, "http2: too many settings in one frame")
	errEmpties    = fatal(codeCalm, detailsEmpty, "http2: too many empty frames in a row")
	errPriorities = fatal(codeCalm, detailsFlood, "http2: too many PRIORITY frames")
	errUpdates    = fatal(codeCalm, detailsFlood, "http2: too many WINDOW_UPDATE frames")
	errResets     = fatal(codeCalm, detailsFlood, "http2: too many streams that were reset, or had to be")
	errControls   = fatal(codeCalm, detailsOutbound, "http2: too many answers to PING, SETTINGS and broken streams wait for the peer")
	errOutbound   = fatal(codeCalm, detailsOutbound, "http2: too many frames wait for the peer")
)

// What ends a stream.
var (
	errHalfClosed   = ofOne(codeStreamClosed, detailsProtocol, "http2: a frame behind the end of its stream")
	errStreamWindow = ofOne(codeFlowControl, detailsProtocol, "http2: more data than the window of the stream allows")
	errStreamUpdate = ofOne(codeProtocol, detailsProtocol, "http2: WINDOW_UPDATE of a stream by 0")
	errStreamTop    = ofOne(codeFlowControl, detailsProtocol, "http2: the window of a stream beyond 2147483647")
	errDependency   = ofOne(codeProtocol, detailsProtocol, "http2: a stream that depends on itself")
	errTooLarge     = ofOne(codeInternal, detailsLarge, "http2: the header fields are over the limit")
	errTooMany      = ofOne(codeInternal, detailsLarge, "http2: too many header fields")
	errBodyLength   = ofOne(codeProtocol, detailsMessaging, "http2: the body has another length than content-length says")
	errUnderscore   = ofOne(codeInternal, "http2.unexpected_underscore", "http2: an underscore in a header name")
)

// What makes a message malformed (RFC 9113, 8.1.1).
var (
	errField       = malformed(detailsField, "http2: a header field with a malformed name or value")
	errPseudo      = malformed(detailsField, "http2: a pseudo-header that is repeated, late, or not for such a message")
	errHopByHop    = malformed(detailsField, "http2: a header field that belongs to a connection")
	errLength      = malformed(detailsField, "http2: content-length is not one decimal number, or must not be there")
	errHost        = malformed(detailsField, "http2: host is not :authority")
	errAuthority   = malformed(detailsField, "http2: an invalid or empty :authority")
	errMethod      = malformed(detailsField, "http2: a malformed :method")
	errScheme      = malformed(detailsField, "http2: :scheme is neither http nor https")
	errPath        = malformed(detailsField, "http2: a malformed :path")
	errStatus      = malformed(detailsField, "http2: a :status that is malformed or that HTTP/2 does not have")
	errMissing     = malformed(detailsMessaging, "http2: a pseudo-header is missing")
	errConnect     = malformed(detailsMessaging, "http2: CONNECT with pseudo-headers that it must not have")
	errNoBody      = malformed(detailsMessaging, "http2: a head that ends its message, with a content-length above 0")
	errNoHead      = malformed(detailsMessaging, "http2: DATA before the head of the response")
	errTrailersEnd = malformed(detailsMessaging, "http2: trailers, or an informational response, with or without END_STREAM where they must not be")
	errRaw         = malformed(detailsMessaging, "http2: trailers of a stream that is a tunnel")
)

// What we are asked to write and must not, or cannot.
var (
	errWriteOrder    = &sdk.CodecError{Text: "http2: a head is written where none is due"}
	errWriteLine     = &sdk.CodecError{Text: "http2: method, path, authority or status to be written is missing or malformed"}
	errWriteField    = &sdk.CodecError{Text: "http2: a header field to be written has a malformed name or value"}
	errWriteLength   = &sdk.CodecError{Text: "http2: content-length to be written is not one decimal number"}
	errWriteLarge    = &sdk.CodecError{Text: "http2: the header fields to be written are over the limit"}
	errWriteExtended = &sdk.CodecError{Text: "http2: the peer has not allowed extended CONNECT, which an upgrade needs"}
)

func fatal(code errorCode, details, text string) *fault {
	return newFault(ofConnection, code, details, text)
}
func ofOne(code errorCode, details, text string) *fault {
	return newFault(ofStream, code, details, text)
}
func malformed(details, text string) *fault {
	return newFault(ofMessage, codeProtocol, details, text)
}

func newFault(s scope, code errorCode, details, text string) *fault {
	e := sdk.CodecError{Details: details, Text: text}
	f := &fault{fatal: e, stream: e, code: code, scope: s}
	f.stream.Stream = true
	return f
}
