// Package lb holds the load-balancing policies: round robin, least request, random,
// ring hash and Maglev, with Envoy's parameters, defaults and arithmetic. Given the
// same hosts, ring hash and Maglev name the same host for a hash as Envoy does.
//
// A policy is compiled once and immutable. Build runs off the loops for every new
// list of hosts and does what is costly; Picker makes the state of one loop, which
// that loop alone uses. Nothing here knows a cluster or a connection.
package lb
