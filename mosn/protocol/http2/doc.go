// Package http2 is the HTTP/2 codec (RFC 9113, RFC 7541, RFC 8441), both sides of
// it, with no socket, no clock and no goroutine.
package http2
