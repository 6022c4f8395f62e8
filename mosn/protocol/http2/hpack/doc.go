// Package hpack is the header compression of HTTP/2 (RFC 7541) for the codec
// above it. It reads fields straight into the storage of an sdk.Headers, as lines
// that an HTTP/1 codec can send on as they are, and keeps its dynamic tables as
// such lines, so that a field which the table has is copied once and is neither
// decoded nor judged again.
//
// A Decoder and an Encoder belong to one connection each and are used on its loop.
// What a peer can make them hold is bounded by the sizes that they are given.
package hpack
