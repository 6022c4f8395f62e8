// Package codectest is the conformance suite of sdk.CodecConn: what every codec
// must hold whatever its protocol. The same bytes give the same events however
// they arrive, nothing that a peer sends makes a codec panic or spin, and no
// event points into memory that the caller may reuse.
//
// A codec's tests describe how to make a connection (Suite) and hand it bytes;
// the suite plays the event loop. A codec of an RPC protocol declares sample frames
// as well (Frames), and Conformance holds it against all that the proxy expects of
// one. It is for tests only and runs on the test's goroutine.
package codectest
