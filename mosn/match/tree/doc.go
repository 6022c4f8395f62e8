// Package tree compiles matcher trees: xds.type.matcher.v3.Matcher and
// envoy.config.common.matcher.v3.Matcher, which are one message under two names.
//
// A [Tree] is compiled once, off the loops, with the actions of whoever asks for it, and
// is immutable from then on: all loops share it. Matching runs on a stream's loop over
// its match.Data. It allocates nothing, but for expressions, several headers of one name
// that do not fit into 64 bytes together, and text that is no address where one is looked
// for.
package tree
