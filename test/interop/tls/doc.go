// Package tls runs the real binary with TLS against real peers: openssl, curl, Go's client, and itself; with certificates that change
// under load, and with peers that begin a handshake and fall silent.
package tls
