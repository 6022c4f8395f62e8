// Package reference keeps docs/reference: what the proxy does with each field of each configuration message, which test sets the field, and
// which of Envoy's extensions are here. The pages are made from the fields that packages declare (mosn/fields) and compared with what is
// committed; go test ./test/reference -update rewrites them.
//
// Which test covers a field is found, not written down: uses_test.go reads the configurations of all tests and notes the fields that each
// sets. A supported field that no test sets stands in testdata/uncovered.txt, which may only get shorter.
package reference
