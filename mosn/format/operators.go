package format

// op is an operator.
type op uint8

const (
	opLiteral op = iota
	opStartTime
	opReq
	opResp
	opTrailer
	opProtocol
	opResponseCode
	opResponseCodeDetails
	opResponseCodeDetailsSpaced
	opResponseFlags
	opResponseFlagsLong
	opBytesReceived
	opBytesSent
	opDuration
	opRequestDuration
	opRequestTxDuration
	opResponseDuration
	opResponseTxDuration
	opCommonDuration
	opUpstreamHost
	opUpstreamCluster
	opUpstreamClusterRaw
	opUpstreamLocal
	opUpstreamLocalIP
	opUpstreamLocalPort
	opUpstreamRemote
	opUpstreamRemoteIP
	opUpstreamRemotePort
	opUpstreamAttempts
	opUpstreamFailure
	opUpstreamConnectionID
	opDownstreamRemote
	opDownstreamRemoteIP
	opDownstreamRemotePort
	opDownstreamDirect
	opDownstreamDirectIP
	opDownstreamDirectPort
	opDownstreamLocal
	opDownstreamLocalIP
	opDownstreamLocalPort
	opRouteName
	opVirtualCluster
	opConnectionID
	opStreamID
	opTermination
	opFilterState
	opFilterStateTyped
	opGRPCStatus
	opGRPCStatusSnake
	opGRPCStatusNumber
	opTraceID
	opSpanID
	opConstant // HOSTNAME, ENVIRONMENT: known when the format is compiled
	opAbsent   // an ENVIRONMENT that is not set
)

// params says what may stand in an operator's parentheses.
type params uint8

const (
	noParams params = iota
	optionalParams
	someParams
)

// spec is how an operator is written.
type spec struct {
	op     op
	params params
	length bool // ":N" is allowed
}

// operators are those that work.
var operators = map[string]spec{
	"START_TIME":                             {opStartTime, optionalParams, false},
	"REQ":                                    {opReq, someParams, true},
	"RESP":                                   {opResp, someParams, true},
	"TRAILER":                                {opTrailer, someParams, true},
	"PROTOCOL":                               {opProtocol, noParams, false},
	"RESPONSE_CODE":                          {opResponseCode, noParams, false},
	"RESPONSE_CODE_DETAILS":                  {opResponseCodeDetails, optionalParams, false},
	"RESPONSE_FLAGS":                         {opResponseFlags, noParams, false},
	"RESPONSE_FLAGS_LONG":                    {opResponseFlagsLong, noParams, false},
	"BYTES_RECEIVED":                         {opBytesReceived, noParams, false},
	"BYTES_SENT":                             {opBytesSent, noParams, false},
	"DURATION":                               {opDuration, noParams, false},
	"REQUEST_DURATION":                       {opRequestDuration, noParams, false},
	"REQUEST_TX_DURATION":                    {opRequestTxDuration, noParams, false},
	"RESPONSE_DURATION":                      {opResponseDuration, noParams, false},
	"RESPONSE_TX_DURATION":                   {opResponseTxDuration, noParams, false},
	"COMMON_DURATION":                        {opCommonDuration, someParams, false},
	"UPSTREAM_HOST":                          {opUpstreamHost, noParams, false},
	"UPSTREAM_CLUSTER":                       {opUpstreamCluster, noParams, false},
	"UPSTREAM_CLUSTER_RAW":                   {opUpstreamClusterRaw, noParams, false},
	"UPSTREAM_LOCAL_ADDRESS":                 {opUpstreamLocal, noParams, false},
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":    {opUpstreamLocalIP, noParams, false},
	"UPSTREAM_LOCAL_PORT":                    {opUpstreamLocalPort, noParams, false},
	"UPSTREAM_REMOTE_ADDRESS":                {opUpstreamRemote, noParams, false},
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":   {opUpstreamRemoteIP, noParams, false},
	"UPSTREAM_REMOTE_PORT":                   {opUpstreamRemotePort, noParams, false},
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":         {opUpstreamAttempts, noParams, false},
	"UPSTREAM_TRANSPORT_FAILURE_REASON":      {opUpstreamFailure, noParams, false},
	"UPSTREAM_CONNECTION_ID":                 {opUpstreamConnectionID, noParams, false},
	"DOWNSTREAM_REMOTE_ADDRESS":              {opDownstreamRemote, noParams, false},
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": {opDownstreamRemoteIP, noParams, false},
	"DOWNSTREAM_REMOTE_PORT":                 {opDownstreamRemotePort, noParams, false},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":       {opDownstreamDirect, noParams, false},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": {opDownstreamDirectIP, noParams, false},
	"DOWNSTREAM_DIRECT_REMOTE_PORT":                 {opDownstreamDirectPort, noParams, false},
	"DOWNSTREAM_LOCAL_ADDRESS":                      {opDownstreamLocal, noParams, false},
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         {opDownstreamLocalIP, noParams, false},
	"DOWNSTREAM_LOCAL_PORT":                         {opDownstreamLocalPort, noParams, false},
	"ROUTE_NAME":                                    {opRouteName, noParams, false},
	"VIRTUAL_CLUSTER_NAME":                          {opVirtualCluster, noParams, false},
	"CONNECTION_ID":                                 {opConnectionID, noParams, false},
	"STREAM_ID":                                     {opStreamID, noParams, false},
	"CONNECTION_TERMINATION_DETAILS":                {opTermination, noParams, false},
	"FILTER_STATE":                                  {opFilterStateTyped, someParams, true},
	"GRPC_STATUS":                                   {opGRPCStatus, optionalParams, false},
	"GRPC_STATUS_NUMBER":                            {opGRPCStatusNumber, noParams, false},
	"TRACE_ID":                                      {opTraceID, noParams, false},
	"SPAN_ID":                                       {opSpanID, noParams, false},
	"HOSTNAME":                                      {opConstant, noParams, false},
	"ENVIRONMENT":                                   {opConstant, someParams, true},
}

// later are Envoy's other operators: known, and refused by name.
var later = []string{
	"ACCESS_LOG_TYPE", "CEL", "CLUSTER_METADATA", "COALESCE", "CUSTOM_FLAGS",
	"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", "DOWNSTREAM_DETECTED_CLOSE_TYPE",
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
	"DOWNSTREAM_DIRECT_LOCAL_PORT", "DOWNSTREAM_HANDSHAKE_DURATION", "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT",
	"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", "DOWNSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_EMAIL_SAN",
	"DOWNSTREAM_LOCAL_IP_SAN", "DOWNSTREAM_LOCAL_OTHERNAME_SAN", "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_LOCAL_URI_SAN",
	"DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
	"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", "DOWNSTREAM_PEER_CHAIN_SERIALS", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_EMAIL_SAN",
	"DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_PEER_IP_SAN", "DOWNSTREAM_PEER_ISSUER",
	"DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", "DOWNSTREAM_PEER_ISSUER_SERIAL", "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_PEER_SERIAL",
	"DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_GROUP", "DOWNSTREAM_TLS_SESSION_ID",
	"DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT",
	"DYNAMIC_METADATA", "EMIT_TIME", "EMIT_TIME_LOCAL", "FILTER_CHAIN_NAME", "LOCAL_REPLY_BODY",
	"METADATA", "PATH", "QUERY_PARAM", "QUERY_PARAMS", "REQUESTED_SERVER_NAME", "REQUEST_HEADER", "REQUEST_HEADERS_BYTES",
	"REQUEST_TRAILER", "REQ_WITHOUT_QUERY", "RESPONSE_HEADER", "RESPONSE_HEADERS_BYTES", "RESPONSE_TRAILER", "RESPONSE_TRAILERS_BYTES",
	"SECRET", "START_TIME_LOCAL", "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT", "UNIQUE_ID",
	"UPSTREAM_CONNECTION_IDS_ATTEMPTED", "UPSTREAM_CONNECTION_POOL_READY_DURATION", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
	"UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", "UPSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_FILTER_STATE", "UPSTREAM_HEADER_BYTES_RECEIVED",
	"UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAME",
	"UPSTREAM_HOST_NAMES_ATTEMPTED", "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAME_WITHOUT_PORT",
	"UPSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_LOCAL_DNS_SAN", "UPSTREAM_LOCAL_IP_SAN", "UPSTREAM_LOCAL_URI_SAN", "UPSTREAM_METADATA",
	"UPSTREAM_PEER_CERT", "UPSTREAM_PEER_CERT_V_END", "UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_DNS_SAN", "UPSTREAM_PEER_IP_SAN",
	"UPSTREAM_PEER_ISSUER", "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PROTOCOL",
	"UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", "UPSTREAM_SERVER_NAME", "UPSTREAM_TLS_CIPHER", "UPSTREAM_TLS_GROUP",
	"UPSTREAM_TLS_SESSION_ID", "UPSTREAM_TLS_VERSION", "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_WIRE_BYTES_SENT",
	"VIRTUAL_HOST_METADATA", "VIRTUAL_HOST_NAME",
}
