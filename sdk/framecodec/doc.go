// Package framecodec makes the codec of a private protocol out of a few small
// functions that know only how its frames look: where one ends, what kind it is, its
// id, and what an answer of the proxy's own looks like (Protocol). New adds all that
// is the same everywhere: open requests, ids, big frames, turns, heartbeats, limits.
//
// The protocol must consist of frames, each with a head from which its length can be
// told. At sdk.Light the proxy sees of a request only that it is one; at sdk.Medium
// also its service, method and headers. Either way a message goes on as it came, save
// for its id and, if the protocol has a place for it, what is left of its timeout:
// edits of the view choose routes and appear in logs, but never on the wire.
//
// What New returns is a pure state machine behind sdk.CodecConn. The functions of a
// Protocol are called on the loop that owns the connection, on every loop at a time,
// so they keep no state, and they keep no slice that they are given.
//
// examples/xprotocol is a tutorial, docs/design/private-protocols.md says how it works.
package framecodec
