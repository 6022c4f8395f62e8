// Package http2 lets real peers of HTTP/2 and gRPC talk through mosn: h2spec, gRPC's interoperability clients and servers of Go, clients of
// Java and Node, curl, grpcurl, h2load; and attackers that flood it or stall.
//
// The peers are real programs that install.sh puts into the user's cache. With -envoy the tests run against Envoy instead, which tells whether
// what they expect is Envoy's behaviour too; what Envoy is known to fail then fails.
package http2
