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
// A connection serves one Call at a time when its codec is Serial (connection, pool),
// and many, told apart by stream id, when it is Multiplexed (muxConn, muxPool). Each
// loop has connections of its own; but with a limit of shared connections to a host
// that is below the number of loops some loops own them, and Calls of the others are
// carried there and back by messages (relay), on all loops without a lock.
package cluster
