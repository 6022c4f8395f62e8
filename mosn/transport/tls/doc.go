// Package tls is the transport socket of that name: TLS 1.0 to 1.3 by crypto/tls on the
// connections of an event loop.
//
// A Server or a Client is compiled once of Envoy's messages and shared by all loops; it
// makes an eventloop.Transport for each connection. A crypto/tls connection is driven by
// a net.Conn that never waits (wire): between two records it says that there is nothing
// for now, which crypto/tls takes for a temporary error and keeps its state. So records
// are opened and sealed on the loop, at no more than they cost.
//
// Handshakes are not: they take a hundred times as long as a request. One is a coroutine
// which a heavy worker of the loop's group resumes whenever whole records have come, and
// which is parked in between: who is slow, or silent, costs memory only, and that is
// bounded by number and by time. Nothing is begun before there is a whole ClientHello.
//
// What a peer must prove is checked in VerifyConnection, which crypto/tls also calls
// when a session is resumed. Certificates and authorities that come by themselves (SDS)
// make a new set of settings; connections that stand keep theirs.
package tls
