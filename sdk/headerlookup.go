package sdk

// LookupHeader returns the id of a lower-case header name, HeaderOther when it is
// not a well-known one. The compiler turns each inner switch into comparisons of
// machine words; the outer one keeps an unknown name to a single jump.
func LookupHeader(name string) HeaderID {
	switch len(name) {
	case 2:
		switch name {
		case "te":
			return HeaderTE
		}
	case 3:
		switch name {
		case "via":
			return HeaderVia
		}
	case 4:
		switch name {
		case "etag":
			return HeaderETag
		case "host":
			return HeaderHost
		case "date":
			return HeaderDate
		}
	case 5:
		switch name {
		case ":path":
			return HeaderPath
		}
	case 6:
		switch name {
		case "origin":
			return HeaderOrigin
		case "accept":
			return HeaderAccept
		case "expect":
			return HeaderExpect
		case "server":
			return HeaderServer
		case "cookie":
			return HeaderCookie
		}
	case 7:
		switch name {
		case ":method":
			return HeaderMethod
		case ":scheme":
			return HeaderScheme
		case ":status":
			return HeaderStatus
		case "trailer":
			return HeaderTrailer
		case "upgrade":
			return HeaderUpgrade
		case "referer":
			return HeaderReferer
		}
	case 8:
		switch name {
		case "location":
			return HeaderLocation
		}
	case 9:
		switch name {
		case ":protocol":
			return HeaderProtocol
		}
	case 10:
		switch name {
		case ":authority":
			return HeaderAuthority
		case "connection":
			return HeaderConnection
		case "keep-alive":
			return HeaderKeepAlive
		case "user-agent":
			return HeaderUserAgent
		}
	case 11:
		switch name {
		case "grpc-status":
			return HeaderGRPCStatus
		case "x-rpc-group":
			return HeaderRPCGroup
		}
	case 12:
		switch name {
		case "content-type":
			return HeaderContentType
		case "x-request-id":
			return HeaderRequestID
		case "grpc-message":
			return HeaderGRPCMessage
		case "grpc-timeout":
			return HeaderGRPCTimeout
		case "x-rpc-status":
			return HeaderRPCStatus
		}
	case 13:
		switch name {
		case "cache-control":
			return HeaderCacheControl
		case "authorization":
			return HeaderAuthorization
		case "x-rpc-version":
			return HeaderRPCVersion
		case "x-rpc-generic":
			return HeaderRPCGeneric
		}
	case 14:
		switch name {
		case "content-length":
			return HeaderContentLength
		case "http2-settings":
			return HeaderHTTP2Settings
		}
	case 15:
		switch name {
		case "accept-encoding":
			return HeaderAcceptEncoding
		case "x-forwarded-for":
			return HeaderForwardedFor
		case "x-envoy-ip-tags":
			return HeaderEnvoyIPTags
		}
	case 16:
		switch name {
		case "proxy-connection":
			return HeaderProxyConnection
		case "x-forwarded-host":
			return HeaderForwardedHost
		case "x-forwarded-port":
			return HeaderForwardedPort
		case "x-envoy-internal":
			return HeaderEnvoyInternal
		case "x-envoy-retry-on":
			return HeaderEnvoyRetryOn
		}
	case 17:
		switch name {
		case "transfer-encoding":
			return HeaderTransferEncoding
		case "x-forwarded-proto":
			return HeaderForwardedProto
		case "x-client-trace-id":
			return HeaderClientTraceID
		}
	case 18:
		switch name {
		case "x-envoy-overloaded":
			return HeaderEnvoyOverloaded
		}
	case 19:
		switch name {
		case "x-envoy-force-trace":
			return HeaderEnvoyForceTrace
		case "x-envoy-max-retries":
			return HeaderEnvoyMaxRetries
		case "x-envoy-ratelimited":
			return HeaderEnvoyRateLimited
		}
	case 20:
		switch name {
		case "x-envoy-original-url":
			return HeaderEnvoyOriginalURL
		}
	case 21:
		switch name {
		case "x-envoy-attempt-count":
			return HeaderEnvoyAttemptCount
		case "x-envoy-original-path":
			return HeaderEnvoyOriginalPath
		case "x-envoy-original-host":
			return HeaderEnvoyOriginalHost
		case "x-envoy-retry-grpc-on":
			return HeaderEnvoyRetryGRPCOn
		}
	case 23:
		switch name {
		case "x-forwarded-client-cert":
			return HeaderForwardedClientCert
		case "x-envoy-upstream-canary":
			return HeaderEnvoyUpstreamCanary
		}
	case 24:
		switch name {
		case "x-envoy-external-address":
			return HeaderEnvoyExternalAddress
		case "x-envoy-is-timeout-retry":
			return HeaderEnvoyIsTimeoutRetry
		}
	case 27:
		switch name {
		case "x-envoy-decorator-operation":
			return HeaderEnvoyDecoratorOperation
		}
	case 29:
		switch name {
		case "x-envoy-upstream-service-time":
			return HeaderEnvoyUpstreamServiceTime
		}
	case 30:
		switch name {
		case "x-envoy-expected-rq-timeout-ms":
			return HeaderEnvoyExpectedTimeoutMs
		case "x-envoy-retriable-header-names":
			return HeaderEnvoyRetriableHeaderNames
		case "x-envoy-retriable-status-codes":
			return HeaderEnvoyRetriableStatusCodes
		case "x-envoy-upstream-alt-stat-name":
			return HeaderEnvoyUpstreamAltStatName
		case "x-envoy-upstream-rq-timeout-ms":
			return HeaderEnvoyUpstreamTimeoutMs
		}
	case 31:
		switch name {
		case "x-envoy-downstream-service-node":
			return HeaderEnvoyDownstreamServiceNode
		}
	case 32:
		switch name {
		case "x-envoy-hedge-on-per-try-timeout":
			return HeaderEnvoyHedgeOnPerTryTimeout
		}
	case 34:
		switch name {
		case "x-envoy-downstream-service-cluster":
			return HeaderEnvoyDownstreamServiceCluster
		}
	case 35:
		switch name {
		case "x-envoy-immediate-health-check-fail":
			return HeaderEnvoyImmediateHealthCheckFail
		case "x-envoy-upstream-stream-duration-ms":
			return HeaderEnvoyUpstreamStreamDurationMs
		}
	case 38:
		switch name {
		case "x-envoy-upstream-healthchecked-cluster":
			return HeaderEnvoyUpstreamHealthCheckedCluster
		case "x-envoy-upstream-rq-per-try-timeout-ms":
			return HeaderEnvoyUpstreamPerTryTimeoutMs
		}
	case 40:
		switch name {
		case "x-envoy-upstream-rq-timeout-alt-response":
			return HeaderEnvoyUpstreamTimeoutAltResponse
		}
	}
	return HeaderOther
}
