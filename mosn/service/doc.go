// Package service compiles how Envoy's configuration names a service that the proxy
// itself calls: GrpcService, HttpUri, HttpService and the RetryPolicy of
// envoy.config.core.v3. Extensions make their calls with what it returns, through
// sdk.Stream or sdk.Caller.
//
// It is used while configuration is compiled, by one goroutine at a time. That a
// cluster is known is for the extension to check, with sdk.Compiler, if Envoy does.
package service
