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
	opAbsent   // what parts of TLS that are not here could tell
	opStartTimeLocal
	opEmitTime
	opEmitTimeLocal
	opUniqueID
	opLogType
	opLocalReplyBody
	opMetadata
	opTLS
	opCoalesce
	opPath
	opQueryParam
	opQueryParams
	opServerName
	opRequestBytes
	opResponseBytes
	opTrailersBytes
	opCustomFlags
	opFilterChain
	opListenerName
	opUpstreamClusterRaw
	opUpstreamHostName
	opUpstreamHostNameOnly
	opUpstreamProtocol
	opUpstreamEndpointID
	opPoolReady
	opCEL
	opTypedCEL
	opHostsTried
	opHostsTriedOnly
	opNamesTried
	opNamesTriedOnly
	opConnectionsTried
	opFilterStateField
	opDownstreamWireReceived
	opDownstreamWireSent
	opUpstreamWireReceived
	opUpstreamWireSent
	opReqWithoutQuery // of an extension
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
	"START_TIME_LOCAL":                       {opStartTimeLocal, optionalParams, false},
	"EMIT_TIME":                              {opEmitTime, optionalParams, false},
	"EMIT_TIME_LOCAL":                        {opEmitTimeLocal, optionalParams, false},
	"REQ":                                    {opReq, someParams, true},
	"REQUEST_HEADER":                         {opReq, someParams, true},
	"STREAM_INFO_REQ":                        {opReq, someParams, true},
	"RESP":                                   {opResp, someParams, true},
	"RESPONSE_HEADER":                        {opResp, someParams, true},
	"TRAILER":                                {opTrailer, someParams, true},
	"RESPONSE_TRAILER":                       {opTrailer, someParams, true},
	"REQUEST_HEADERS_BYTES":                  {opRequestBytes, noParams, false},
	"RESPONSE_HEADERS_BYTES":                 {opResponseBytes, noParams, false},
	"RESPONSE_TRAILERS_BYTES":                {opTrailersBytes, noParams, false},
	"PATH":                                   {opPath, optionalParams, true},
	"QUERY_PARAM":                            {opQueryParam, someParams, true},
	"QUERY_PARAMS":                           {opQueryParams, optionalParams, true},
	"REQUESTED_SERVER_NAME":                  {opServerName, optionalParams, false},
	"CEL":                                    {opCEL, someParams, true},
	"TYPED_CEL":                              {opTypedCEL, someParams, true},
	"PROTOCOL":                               {opProtocol, noParams, false},
	"RESPONSE_CODE":                          {opResponseCode, noParams, false},
	"RESPONSE_CODE_DETAILS":                  {opResponseCodeDetails, optionalParams, false},
	"RESPONSE_FLAGS":                         {opResponseFlags, noParams, false},
	"RESPONSE_FLAGS_LONG":                    {opResponseFlagsLong, noParams, false},
	"CUSTOM_FLAGS":                           {opCustomFlags, noParams, false},
	"BYTES_RECEIVED":                         {opBytesReceived, noParams, false},
	"BYTES_SENT":                             {opBytesSent, noParams, false},
	"DOWNSTREAM_WIRE_BYTES_RECEIVED":         {opDownstreamWireReceived, noParams, false},
	"DOWNSTREAM_WIRE_BYTES_SENT":             {opDownstreamWireSent, noParams, false},
	"UPSTREAM_WIRE_BYTES_RECEIVED":           {opUpstreamWireReceived, noParams, false},
	"UPSTREAM_WIRE_BYTES_SENT":               {opUpstreamWireSent, noParams, false},
	"DURATION":                               {opDuration, noParams, false},
	"REQUEST_DURATION":                       {opRequestDuration, noParams, false},
	"REQUEST_TX_DURATION":                    {opRequestTxDuration, noParams, false},
	"RESPONSE_DURATION":                      {opResponseDuration, noParams, false},
	"RESPONSE_TX_DURATION":                   {opResponseTxDuration, noParams, false},
	"COMMON_DURATION":                        {opCommonDuration, someParams, false},
	"UPSTREAM_HOST":                          {opUpstreamHost, noParams, false},
	"UPSTREAM_HOST_NAME":                     {opUpstreamHostName, noParams, false},
	"UPSTREAM_HOST_NAME_WITHOUT_PORT":        {opUpstreamHostNameOnly, noParams, false},
	"UPSTREAM_CLUSTER":                       {opUpstreamCluster, noParams, false},
	"UPSTREAM_CLUSTER_RAW":                   {opUpstreamClusterRaw, noParams, false},
	"UPSTREAM_PROTOCOL":                      {opUpstreamProtocol, noParams, false},
	"UPSTREAM_LOCAL_ADDRESS":                 {opUpstreamLocal, noParams, false},
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":    {opUpstreamLocalIP, noParams, false},
	"UPSTREAM_LOCAL_PORT":                    {opUpstreamLocalPort, noParams, false},
	"UPSTREAM_REMOTE_ADDRESS":                {opUpstreamRemote, noParams, false},
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":   {opUpstreamRemoteIP, noParams, false},
	"UPSTREAM_REMOTE_PORT":                   {opUpstreamRemotePort, noParams, false},
	"UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID":    {opUpstreamEndpointID, noParams, false},
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":         {opUpstreamAttempts, noParams, false},
	"UPSTREAM_HOSTS_ATTEMPTED":               {opHostsTried, noParams, false},
	"UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT":  {opHostsTriedOnly, noParams, false},
	"UPSTREAM_HOST_NAMES_ATTEMPTED":          {opNamesTried, noParams, false},
	"UPSTREAM_CONNECTION_IDS_ATTEMPTED":      {opConnectionsTried, noParams, false},
	"UPSTREAM_TRANSPORT_FAILURE_REASON":      {opUpstreamFailure, noParams, false},
	"UPSTREAM_CONNECTION_ID":                 {opUpstreamConnectionID, noParams, false},
	"DOWNSTREAM_REMOTE_ADDRESS":              {opDownstreamRemote, noParams, false},
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": {opDownstreamRemoteIP, noParams, false},
	"DOWNSTREAM_REMOTE_PORT":                 {opDownstreamRemotePort, noParams, false},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":       {opDownstreamDirect, noParams, false},
	"DOWNSTREAM_DIRECT_REMOTE_PORT":          {opDownstreamDirectPort, noParams, false},
	"DOWNSTREAM_LOCAL_ADDRESS":               {opDownstreamLocal, noParams, false},
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":  {opDownstreamLocalIP, noParams, false},
	"DOWNSTREAM_LOCAL_PORT":                  {opDownstreamLocalPort, noParams, false},
	"FILTER_CHAIN_NAME":                      {opFilterChain, noParams, false},
	"LISTENER_NAME":                          {opListenerName, noParams, false},
	"ROUTE_NAME":                             {opRouteName, noParams, false},
	"VIRTUAL_CLUSTER_NAME":                   {opVirtualCluster, noParams, false},
	"CONNECTION_ID":                          {opConnectionID, noParams, false},
	"STREAM_ID":                              {opStreamID, noParams, false},
	"UNIQUE_ID":                              {opUniqueID, noParams, false},
	"CONNECTION_TERMINATION_DETAILS":         {opTermination, noParams, false},
	"DYNAMIC_METADATA":                       {opMetadata, someParams, true},
	"CLUSTER_METADATA":                       {opMetadata, someParams, true},
	"UPSTREAM_METADATA":                      {opMetadata, someParams, true},
	"METADATA":                               {opMetadata, someParams, true},
	"FILTER_STATE":                           {opFilterStateTyped, someParams, true},
	"COALESCE":                               {opCoalesce, someParams, true},
	"GRPC_STATUS":                            {opGRPCStatus, optionalParams, false},
	"GRPC_STATUS_NUMBER":                     {opGRPCStatusNumber, noParams, false},
	"TRACE_ID":                               {opTraceID, noParams, false},
	"SPAN_ID":                                {opSpanID, noParams, false},
	"HOSTNAME":                               {opConstant, noParams, false},
	"ENVIRONMENT":                            {opConstant, someParams, true},
	"ACCESS_LOG_TYPE":                        {opLogType, noParams, false},
	"LOCAL_REPLY_BODY":                       {opLocalReplyBody, noParams, false},

	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": {opDownstreamDirectIP, noParams, false},
	"UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT":    {opNamesTriedOnly, noParams, false},
	"UPSTREAM_CONNECTION_POOL_READY_DURATION":       {opPoolReady, noParams, false},

	// No listener filter changes the address that a connection came to.
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS":              {opDownstreamLocal, noParams, false},
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT": {opDownstreamLocalIP, noParams, false},
	"DOWNSTREAM_DIRECT_LOCAL_PORT":                 {opDownstreamLocalPort, noParams, false},
	// Of internal listeners alone, which there are none of: empty.
	"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID":        {opConstant, noParams, false},
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID": {opConstant, noParams, false},
}

// absent are those that only filters of the upstream side, or parts of TLS that
// are not here could answer: missing, as in Envoy where there are none of these. Of a TLS
// session crypto/tls does not tell the id.
var absent = map[string]params{
	"DOWNSTREAM_HANDSHAKE_DURATION": noParams, "DOWNSTREAM_LOCAL_OTHERNAME_SAN": noParams,
	"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1": noParams, "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256": noParams,
	"DOWNSTREAM_PEER_CHAIN_SERIALS": noParams, "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256": noParams,
	"DOWNSTREAM_PEER_ISSUER_SERIAL": noParams, "DOWNSTREAM_PEER_OTHERNAME_SAN": noParams, "DOWNSTREAM_TLS_SESSION_ID": noParams,
	"TLS_JA3_FINGERPRINT": noParams, "TLS_JA4_FINGERPRINT": noParams,
	"UPSTREAM_FILTER_STATE": someParams, "UPSTREAM_TLS_SESSION_ID": noParams,
}

// later are Envoy's other operators: known, and refused by name.
var later = []string{
	"DOWNSTREAM_CX_RTT", "ROUTE_RESOLUTION_COUNT", "ROUTE_RESOLUTION_TIME_US",
	"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
	"DOWNSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT",
	"DOWNSTREAM_LOCAL_CLOSE_REASON",
	"UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", "UPSTREAM_DETECTED_CLOSE_TYPE",
	"UPSTREAM_HEADER_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_LOCAL_CLOSE_REASON",
}
