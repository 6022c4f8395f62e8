// Package cluster is the way to the upstream hosts: which there are, which one a
// request goes to, and the connection that carries it.
//
// Off the loops, Compile turns an envoy.config.cluster.v3.Cluster into a Config,
// and the Manager makes clusters of Configs, resolves names and tells every loop.
// One goroutine at a time may use the Manager; its resolver has a goroutine of its
// own.
//
// On a loop, Local is that loop's view of all clusters; it, its LoopClusters, their
// connection pools and every Call belong to the loop and are used on its goroutine
// only. What loops share are the Host's and the cluster's counters (package
// shared), because Envoy's limits hold over the whole process. Host sets, balancer
// tables and Configs are immutable.
//
// A Call is one attempt at one host, embedded by value in the stream that makes it:
//
//	pending --connection--> active --response end / failure / Cancel--> idle
//
// A connection serves one Call at a time (Serial codecs). What a multiplexed codec
// needs (several Calls a connection, found by stream id) has its place in
// connection: the Call is looked up there and nowhere else.
package cluster
