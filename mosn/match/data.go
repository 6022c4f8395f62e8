package match

import "sofamesh.io/sofamesh/sdk"

// Data is what matcher trees and expressions read of a stream. Whoever evaluates them
// fills it, and keeps it for no longer than the stream: it is used on the stream's loop
// alone.
type Data struct {
	Info *sdk.StreamInfo // never nil
	// What of the messages there is so far; nil when it has not come. An expression takes
	// it as empty, a tree that asks for it cannot say yet.
	Request, RequestTrailers, Response, ResponseTrailers *sdk.Headers
	// Room is where values are put that a stream has in another form, such as addresses
	// as text: one at a time.
	Room [64]byte
}

// DataOf is the Data of a filter that sees the request of s.
func DataOf(s sdk.Stream) Data {
	return Data{Info: s.Info(), Request: s.Request(), RequestTrailers: s.RequestTrailers()}
}
