package http1

import (
	"strconv"

	"sofamesh.io/sofamesh/sdk"
)

// fieldStatus declares what the codec is configured by.
func fieldStatus() sdk.FieldStatus {
	const (
		options = "envoy.config.core.v3.Http1ProtocolOptions."
		format  = options + "HeaderKeyFormat."
		keep    = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig."
	)
	return sdk.FieldStatus{
		options + "allow_absolute_url":       sdk.Supported,
		options + "accept_http_10":           sdk.Supported,
		options + "default_host_for_http_10": sdk.Supported,
		options + "header_key_format":        sdk.Supported,
		options + "enable_trailers":          sdk.Supported,
		options + "allow_chunked_length":     sdk.Supported,
		// False is what happens; true is refused by name.
		options + "override_stream_error_on_invalid_http_message": sdk.Supported,
		options + "send_fully_qualified_url":                      sdk.Supported,
		options + "use_balsa_parser":                              sdk.Supported,
		options + "allow_custom_methods":                          sdk.Supported,
		options + "ignore_http_11_upgrade":                        sdk.Supported,

		format + "proper_case_words":  sdk.Supported,
		format + "stateful_formatter": sdk.Supported,

		keep + "forward_reason_phrase":           sdk.Refused,
		keep + "formatter_type_on_envoy_headers": sdk.Supported,
	}
}

func indexed(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
