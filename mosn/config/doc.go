// Package config turns Envoy's configuration into compiled values and keeps them.
//
// The unit is the resource: a listener, a cluster, a routing table, a set of endpoints
// with its name. A Store holds each as bytes' hash, message, compiled value and what it
// needs of others. Resources come in by Apply (those of the bootstrap) or by themselves,
// from a ResourceSource that Follow or a resource names: files here, a management server
// in mosn/xds. What has changed is compiled, waits for what it needs, and is handed to
// the managers of clusters and listeners, which post it to the loops, or put into a slot
// that the loops read. Each resource that is refused is reported with the path of the
// field; of that one the last good value stays in force. docs/design/config-store.md
// tells more.
//
// Load reads a bootstrap (file, --config-yaml, or both) and remembers where each
// field stood, so that an error can name file and line. Every field of every message
// is declared as supported, without effect, ignored or refused; an extension of
// Envoy that is not built is refused by its name.
//
// All of it runs off the loops. A Store's methods wait for each other; sources deliver on
// goroutines of their own. What is compiled is immutable.
package config
