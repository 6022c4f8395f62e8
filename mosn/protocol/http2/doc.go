// Package http2 is the HTTP/2 codec (RFC 9113; hpack, RFC 7541, is the package below;
// extended CONNECT, RFC 8441), both sides of it: bytes to message events and messages
// to bytes, with no socket, no clock and no goroutine. Priorities are ignored.
//
// A CodecConfig is compiled off the loops and shared by all of them. A conn belongs
// to one connection; its owner makes all calls on that connection's loop:
//
//	Clock, Decode ...  events, until there is none     reader.go, headers.go, fields.go
//	Write...           messages of the other side      writer.go, headwriter.go
//	Consumed           bytes have left our buffers     flow.go
//	Pending, Flush     what the codec says by itself   output.go
//
// A stream is in the table from its HEADERS (upstream: from NewStream) until both
// sides have ended it and its owner has consumed all of it, or one side has reset it.
// One that we have reset stays as dead until the peer says its end, because frames
// may have been under way; what comes for it is dropped, its header blocks are still
// decompressed. Of streams that are no more, only the highest id is known.
//
// A fault ends the connection (GOAWAY), or its stream (RST_STREAM); for a malformed
// message the configuration decides which. Both are told to the peer by Flush and to
// the owner by Decode. What is written for a stream that is over is dropped.
//
// Windows: the peer may send what Consumed has given back, so a stream whose reader
// stands still holds no more than its window, and the connection no more than its own.
// What we send is taken as the peer's windows allow; a stream that waits for its own
// gets an EventWindow when that opens, those that wait for the connection's take turns.
//
// What is accepted, the limits and their defaults are Envoy's (1.40), and RFC 9113's
// where that is stricter.
package http2
