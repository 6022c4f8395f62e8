// Package grpc is what filters and the proxy know of gRPC over HTTP (PROTOCOL-HTTP2.md
// of gRPC): which messages are its own, how statuses and deadlines are written, where
// messages end within a body, and the numbers that Envoy counts of calls.
//
// It speaks no gRPC itself: calls pass as HTTP. Everything is used on the loop of a
// stream, but for [Stats], which one filter shares between all loops.
package grpc
