// Package bolt is the codec of Bolt, SOFARPC's protocol, versions 1 and 2, which
// may mix on one connection. It is a pure state machine behind sdk.CodecConn: the
// loop that owns the connection makes all calls, and there is no socket, clock or
// goroutine here. It imports only the public SDK, as a private codec would.
//
// A request is shown as HTTP shows one: the service's host (sdk/servicekey) in
// :authority, /interface/method in :path, the header map below in lower case. What
// HTTP's own machinery owns (see sdk/rpcview), and names that are no HTTP token, are
// neither shown nor written; control characters in values are shown as '?'. The
// bytes of a message stay as they came: without an edit of the view only the id,
// and then the CRC, is another one. Edits of header fields are spliced into the
// header map, content-length and the timeout are patched; edits of :authority and
// :path choose the route but do not rename the call.
//
// Content is cut through. Only up to Limits.LookAhead bytes of it are waited for:
// what fits in passes in one piece, and a Hessian request says there which service
// and method it is about. A server goes by that, so a call whose names cannot be
// read there, or differ from those of the header map, is refused (see identity).
// Any other class than SofaRequest is bare Bolt, and the class is what it is about.
// A Node server (sofa-rpc-node 2.10.0) does not look at the class, though: to it a
// map with the right keys is a call. What must not reach it is kept away by rules
// that allow paths, not by rules that deny some.
//
// What we answer ourselves is told in the way that gives a SOFARPC client its proper
// exception, by Bolt's status alone or with the text in a SofaResponse of the
// request's serialization. Seen with the Java client 5.13.2 (Hessian2, protobuf, JSON):
//
//	HTTP status              frame                      exception, type
//	408, 504                 status 7                   SofaTimeOutException, CLIENT_TIMEOUT
//	429, 503 overloaded      status 4                   SofaRpcException, SERVER_BUSY
//	502, 503                 status 16                  SofaRpcException, CLIENT_NETWORK
//	400, 403, 404, 500 ...   0, an error with text      SofaRpcException, SERVER_UNDECLARED_ERROR, the text
//	200                      0, the text as the result  none
//
// Statuses 1, 3, 5, 6 and 9 give it CLIENT_UNDECLARED_ERROR and no text, which is what
// serializations that are not written here, and a filter's x-rpc-status, get. Bare Bolt
// has no place for a text: it gets 6 for 404 and 3 for the rest.
//
// Frames cannot be interleaved. While one is being written, the heads of others
// wait here and WriteData takes none of their content; EventWindow follows.
package bolt
