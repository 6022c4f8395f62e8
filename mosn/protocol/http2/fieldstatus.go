package http2

import "sofamesh.io/sofamesh/sdk"

// fieldStatus declares what the codec is configured by.
func fieldStatus() sdk.FieldStatus {
	const (
		options = "envoy.config.core.v3.Http2ProtocolOptions."
		custom  = options + "SettingsParameter."
		alive   = "envoy.config.core.v3.KeepaliveSettings."
	)
	return sdk.FieldStatus{
		options + "hpack_table_size":                                     sdk.Supported,
		options + "max_concurrent_streams":                               sdk.Supported,
		options + "initial_stream_window_size":                           sdk.Supported,
		options + "initial_connection_window_size":                       sdk.Supported,
		options + "allow_connect":                                        sdk.Supported,
		options + "max_outbound_frames":                                  sdk.Supported,
		options + "max_outbound_control_frames":                          sdk.Supported,
		options + "max_consecutive_inbound_frames_with_empty_payload":    sdk.Supported,
		options + "max_inbound_priority_frames_per_stream":               sdk.Supported,
		options + "max_inbound_window_update_frames_per_data_frame_sent": sdk.Supported,
		options + "stream_error_on_invalid_http_messaging":               sdk.Supported,
		options + "override_stream_error_on_invalid_http_message":        sdk.Supported,
		options + "custom_settings_parameters":                           sdk.Supported,
		options + "connection_keepalive":                                 sdk.Supported, // by the owner, who has the time
		options + "enable_huffman_encoding":                              sdk.Supported,
		options + "stream_reset_burst":                                   sdk.Supported,
		options + "stream_reset_rate":                                    sdk.Supported,
		// False is what happens; true is refused by name.
		options + "allow_metadata": sdk.Supported,
		// There is one codec here, and no METADATA that could have a size.
		options + "use_oghttp2_codec": sdk.NoEffect,
		options + "max_metadata_size": sdk.NoEffect,
		// What each of Envoy's two codecs has for itself.
		options + "max_header_field_size_kb": sdk.Refused,
		options + "disallow_obs_text":        sdk.Refused,

		custom + "identifier": sdk.Supported,
		custom + "value":      sdk.Supported,

		alive + "interval":                 sdk.Supported,
		alive + "timeout":                  sdk.Supported,
		alive + "interval_jitter":          sdk.Supported,
		alive + "connection_idle_interval": sdk.Supported,
	}
}
