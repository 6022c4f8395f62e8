// Package faults breaks things around a running proxy and checks what is left afterwards: that every request is answered, with the right flag
// in the access log; that connections, descriptors and memory come back; that large bodies pass in bounded memory; that real clients work.
//
// Every test runs against mosn and, to know that the expectation is Envoy's behaviour too, against Envoy.
package faults
