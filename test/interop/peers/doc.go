// Package peers holds what the interoperability suites share: free ports, child processes with their accounting, a reader for HTTP/1 bytes
// as they stood on the wire, a scripted raw backend and a scripted raw client.
//
// Nothing here uses net/http: a client library would normalise the very bytes that the suites are about. The package is called from test
// goroutines only; every type says which of its methods may be called from several of them.
package peers
