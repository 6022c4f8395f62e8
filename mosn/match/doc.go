// Package match holds Envoy's small matchers in compiled form: strings, headers,
// query parameters and cookies.
//
// A matcher is made from its protobuf message when configuration is compiled and
// is immutable from then on, so all loops share it and call it on the request
// path. It holds no state of a request and owns nothing. Matching does not
// allocate, except for a regular expression on a value that is not ASCII.
package match
