package fields

import "sofamesh.io/sofamesh/sdk"

// ConfigSource declares the messages that say where resources come from. Listeners,
// clusters and the bootstrap share them.
func ConfigSource() sdk.FieldStatus {
	const core = "envoy.config.core.v3."
	return Join(
		Message(core+"ConfigSource",
			Supported("path", "path_config_source", "initial_fetch_timeout"),
			NoEffect("resource_api_version"), // there is v3 only
			Refused("authorities", "api_config_source", "ads", "self"),
		),
		Message(core+"PathConfigSource", Supported("path", "watched_directory", "poll_interval")),
		Message(core+"WatchedDirectory", Supported("path", "watch_modify")),
	)
}
