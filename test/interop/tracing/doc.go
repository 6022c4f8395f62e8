// Package tracing runs the same configuration and the same requests through real Envoy and through mosn, with a collector of spans that the
// test is, and compares the spans: names, kinds, tags, events, who is whose parent, and what the backends saw of the trace. Ids and times are
// replaced by symbols. Bolt, which Envoy does not speak, and collectors that fail run through mosn alone.
package tracing
