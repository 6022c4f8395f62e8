// Package route holds compiled route tables: Envoy's RouteConfiguration turned
// into plain values that are looked up and read on the request path.
//
// Compile runs off the loops. A Table and all that hangs from it is immutable from
// then on, shared by all loops and dropped when the last stream that was routed by
// it has ended. Match and the methods that rewrite a request or a response are
// called by mosn/stream on the stream's loop; they take no lock and allocate
// nothing, except where a regular expression is replaced.
//
// The package decides; it does not act: timeouts, retries and mirrors are data
// here, and the state machine that follows them is mosn/stream's.
//
// The path of a lookup is the order of the files: table.go (the host), vhost.go
// (the routes of a host), match.go (one route), weighted.go (the cluster);
// then edits.go and rewrite.go for what is done to the headers.
package route
