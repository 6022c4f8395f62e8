// Package config turns Envoy's configuration into compiled values and keeps them.
//
// The unit is the resource: a listener or a cluster with its name. A Store holds
// each as bytes' hash, message, compiled value and the clusters that it names. Apply
// is the only way in: it compiles what has changed, hands what compiled to the
// managers of clusters and listeners, which post it to the loops, and reports each
// resource that it refuses with the path of the field; of that one the last good
// value stays in force.
//
// Load reads a bootstrap (file, --config-yaml, or both) and remembers where each
// field stood, so that an error can name file and line. Every field of every message
// is declared as supported, without effect, ignored or refused; an extension of
// Envoy that is not built is refused by its name.
//
// All of it runs off the loops. mosn/server calls it, on one goroutine at a time;
// what it makes is immutable.
package config
