package sdk

// HeaderID is the small number of a header name that the data plane itself reads
// or writes on the request path, so that reading it costs one array access and
// storing it costs no bytes. Names without an id are HeaderOther; nothing else
// tells them apart, so adding an id never changes behaviour.
type HeaderID uint8

// The well-known headers. Their names are in headerNames, in the same order.
const (
	HeaderOther HeaderID = iota
	HeaderMethod
	HeaderPath
	HeaderAuthority
	HeaderScheme
	HeaderStatus
	HeaderProtocol
	HeaderContentLength
	HeaderContentType
	HeaderTransferEncoding
	HeaderConnection
	HeaderKeepAlive
	HeaderProxyConnection
	HeaderTE
	HeaderTrailer
	HeaderUpgrade
	HeaderExpect
	HeaderHost
	HeaderHTTP2Settings
	HeaderServer
	HeaderDate
	HeaderVia
	HeaderLocation
	HeaderUserAgent
	HeaderCookie
	HeaderAccept
	HeaderAcceptEncoding
	HeaderAuthorization
	HeaderCacheControl
	HeaderETag
	HeaderOrigin
	HeaderReferer
	HeaderForwardedFor
	HeaderForwardedProto
	HeaderForwardedHost
	HeaderForwardedPort
	HeaderForwardedClientCert
	HeaderRequestID
	HeaderClientTraceID
	HeaderGRPCStatus
	HeaderGRPCMessage
	HeaderGRPCTimeout
	HeaderEnvoyAttemptCount
	HeaderEnvoyDecoratorOperation
	HeaderEnvoyDownstreamServiceCluster
	HeaderEnvoyDownstreamServiceNode
	HeaderEnvoyExpectedTimeoutMs
	HeaderEnvoyExternalAddress
	HeaderEnvoyForceTrace
	HeaderEnvoyHedgeOnPerTryTimeout
	HeaderEnvoyImmediateHealthCheckFail
	HeaderEnvoyInternal
	HeaderEnvoyIPTags
	HeaderEnvoyIsTimeoutRetry
	HeaderEnvoyMaxRetries
	HeaderEnvoyOriginalPath
	HeaderEnvoyOriginalHost
	HeaderEnvoyOriginalURL
	HeaderEnvoyOverloaded
	HeaderEnvoyRateLimited
	HeaderEnvoyRetriableHeaderNames
	HeaderEnvoyRetriableStatusCodes
	HeaderEnvoyRetryGRPCOn
	HeaderEnvoyRetryOn
	HeaderEnvoyUpstreamAltStatName
	HeaderEnvoyUpstreamCanary
	HeaderEnvoyUpstreamHealthCheckedCluster
	HeaderEnvoyUpstreamPerTryTimeoutMs
	HeaderEnvoyUpstreamServiceTime
	HeaderEnvoyUpstreamTimeoutMs
	HeaderEnvoyUpstreamTimeoutAltResponse
	HeaderEnvoyUpstreamStreamDurationMs
	HeaderRPCStatus
	HeaderRPCVersion
	HeaderRPCGroup
	HeaderRPCGeneric

	numHeaderIDs
)

//nolint:gochecknoglobals // a constant table
var headerNames = [numHeaderIDs]string{
	HeaderMethod:                            ":method",
	HeaderPath:                              ":path",
	HeaderAuthority:                         ":authority",
	HeaderScheme:                            ":scheme",
	HeaderStatus:                            ":status",
	HeaderProtocol:                          ":protocol",
	HeaderContentLength:                     "content-length",
	HeaderContentType:                       "content-type",
	HeaderTransferEncoding:                  "transfer-encoding",
	HeaderConnection:                        "connection",
	HeaderKeepAlive:                         "keep-alive",
	HeaderProxyConnection:                   "proxy-connection",
	HeaderTE:                                "te",
	HeaderTrailer:                           "trailer",
	HeaderUpgrade:                           "upgrade",
	HeaderExpect:                            "expect",
	HeaderHost:                              "host",
	HeaderHTTP2Settings:                     "http2-settings",
	HeaderServer:                            "server",
	HeaderDate:                              "date",
	HeaderVia:                               "via",
	HeaderLocation:                          "location",
	HeaderUserAgent:                         "user-agent",
	HeaderCookie:                            "cookie",
	HeaderAccept:                            "accept",
	HeaderAcceptEncoding:                    "accept-encoding",
	HeaderAuthorization:                     "authorization",
	HeaderCacheControl:                      "cache-control",
	HeaderETag:                              "etag",
	HeaderOrigin:                            "origin",
	HeaderReferer:                           "referer",
	HeaderForwardedFor:                      "x-forwarded-for",
	HeaderForwardedProto:                    "x-forwarded-proto",
	HeaderForwardedHost:                     "x-forwarded-host",
	HeaderForwardedPort:                     "x-forwarded-port",
	HeaderForwardedClientCert:               "x-forwarded-client-cert",
	HeaderRequestID:                         "x-request-id",
	HeaderClientTraceID:                     "x-client-trace-id",
	HeaderGRPCStatus:                        "grpc-status",
	HeaderGRPCMessage:                       "grpc-message",
	HeaderGRPCTimeout:                       "grpc-timeout",
	HeaderEnvoyAttemptCount:                 "x-envoy-attempt-count",
	HeaderEnvoyDecoratorOperation:           "x-envoy-decorator-operation",
	HeaderEnvoyDownstreamServiceCluster:     "x-envoy-downstream-service-cluster",
	HeaderEnvoyDownstreamServiceNode:        "x-envoy-downstream-service-node",
	HeaderEnvoyExpectedTimeoutMs:            "x-envoy-expected-rq-timeout-ms",
	HeaderEnvoyExternalAddress:              "x-envoy-external-address",
	HeaderEnvoyForceTrace:                   "x-envoy-force-trace",
	HeaderEnvoyHedgeOnPerTryTimeout:         "x-envoy-hedge-on-per-try-timeout",
	HeaderEnvoyImmediateHealthCheckFail:     "x-envoy-immediate-health-check-fail",
	HeaderEnvoyInternal:                     "x-envoy-internal",
	HeaderEnvoyIPTags:                       "x-envoy-ip-tags",
	HeaderEnvoyIsTimeoutRetry:               "x-envoy-is-timeout-retry",
	HeaderEnvoyMaxRetries:                   "x-envoy-max-retries",
	HeaderEnvoyOriginalPath:                 "x-envoy-original-path",
	HeaderEnvoyOriginalHost:                 "x-envoy-original-host",
	HeaderEnvoyOriginalURL:                  "x-envoy-original-url",
	HeaderEnvoyOverloaded:                   "x-envoy-overloaded",
	HeaderEnvoyRateLimited:                  "x-envoy-ratelimited",
	HeaderEnvoyRetriableHeaderNames:         "x-envoy-retriable-header-names",
	HeaderEnvoyRetriableStatusCodes:         "x-envoy-retriable-status-codes",
	HeaderEnvoyRetryGRPCOn:                  "x-envoy-retry-grpc-on",
	HeaderEnvoyRetryOn:                      "x-envoy-retry-on",
	HeaderEnvoyUpstreamAltStatName:          "x-envoy-upstream-alt-stat-name",
	HeaderEnvoyUpstreamCanary:               "x-envoy-upstream-canary",
	HeaderEnvoyUpstreamHealthCheckedCluster: "x-envoy-upstream-healthchecked-cluster",
	HeaderEnvoyUpstreamPerTryTimeoutMs:      "x-envoy-upstream-rq-per-try-timeout-ms",
	HeaderEnvoyUpstreamServiceTime:          "x-envoy-upstream-service-time",
	HeaderEnvoyUpstreamTimeoutMs:            "x-envoy-upstream-rq-timeout-ms",
	HeaderEnvoyUpstreamTimeoutAltResponse:   "x-envoy-upstream-rq-timeout-alt-response",
	HeaderEnvoyUpstreamStreamDurationMs:     "x-envoy-upstream-stream-duration-ms",
	HeaderRPCStatus:                         "x-rpc-status",
	HeaderRPCVersion:                        "x-rpc-version",
	HeaderRPCGroup:                          "x-rpc-group",
	HeaderRPCGeneric:                        "x-rpc-generic",
}

// Name returns the header's name, "" for HeaderOther.
func (id HeaderID) Name() string { return headerNames[id] }
