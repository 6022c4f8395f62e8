// Package http1 is the HTTP/1.0 and HTTP/1.1 codec (RFC 9110, RFC 9112), both
// sides of it: bytes to message events and messages to bytes, with no socket, no
// clock and no goroutine.
//
// It owns the syntax of messages, their framing (content-length, chunked, until
// close, opaque after an upgrade), the limits on what a peer may make us hold,
// and the life of a connection as the messages tell it (keep-alive, close,
// upgrade). It also drops what a request's connection header nominates, because
// that belongs to the bytes of this hop. Everything that is policy (a missing
// host, path normalisation, removal of connection and upgrade themselves,
// answering 100-continue) belongs to the connection manager.
//
// A CodecConfig is compiled off the loops and shared by all of them. A CodecConn
// belongs to one connection and is called on that connection's loop only.
//
// What is accepted, what it becomes and what is refused follows Envoy 1.40 with
// its default parser (balsa), down to %RESPONSE_CODE_DETAILS%; where this codec
// is stricter, the code says so with the word "stricter".
package http1
