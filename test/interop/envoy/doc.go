// Package envoy runs the same bootstrap file and the same bytes through real Envoy and through mosn and compares what a client and what the
// backends saw, byte for byte except for what is truly variable, and the access-log lines.
//
// A case is a section of a txtar file in testdata: a configuration fragment, the client's bytes, the backends' answers. All cases of a run
// share one process of each proxy; each case has its own listener, clusters, backends and log. What Envoy did is also kept in
// testdata/golden (rewritten by -update), so that a reader sees it. Deliberate differences are the rows of docs/differences.md: such a case
// must differ, and mosn's side of it is kept in testdata/golden too.
package envoy
