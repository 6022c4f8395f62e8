// Package bolt lets real SOFARPC peers, Java and Node, clients and servers, talk through mosn.
//
// Its peers are small programs (java/, node/) that take commands, so that the tests are all here. The same calls go directly from client to
// server, through one mosn, and through two in a row: the direct ones say what the peers do by themselves.
package bolt
