// Package edit compiles the changes of headers that a configuration asks for: values with
// operators in them (%REQ(x)%), Envoy's HeaderValueOption, and its HeaderMutation.
//
// It owns no state. What it compiles is immutable and shared by all loops; applying it
// is a call on the loop of the stream whose headers they are, and allocates nothing but
// for values of several hundred bytes.
package edit
