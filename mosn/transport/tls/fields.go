package tls

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages of TLS.
func Fields() sdk.FieldStatus {
	const p = "envoy.extensions.transport_sockets.tls.v3."
	return fields.Join(
		fields.Message(p+"DownstreamTlsContext",
			fields.Supported("common_tls_context", "require_client_certificate", "session_ticket_keys", "disable_stateless_session_resumption",
				"full_scan_certs_on_sni_mismatch"),
			fields.Ignored("require_sni"),
			fields.NoEffect("disable_stateful_session_resumption"), // there are tickets only
			// Ciphers: crypto/tls has an order of its own.
			fields.Refused("session_ticket_keys_sds_secret_config", "session_timeout", "ocsp_staple_policy", "prefer_client_ciphers")),
		fields.Message(p+"UpstreamTlsContext",
			fields.Supported("common_tls_context", "sni", "auto_host_sni", "auto_sni_san_validation", "max_session_keys"),
			fields.Ignored("enforce_rsa_key_usage"),
			fields.Refused("allow_renegotiation")), // crypto/tls would make a handshake of it in the middle of reading
		fields.Message(p+"CommonTlsContext",
			fields.Supported("tls_params", "tls_certificates", "tls_certificate_sds_secret_configs", "validation_context",
				"validation_context_sds_secret_config", "combined_validation_context", "alpn_protocols"),
			fields.Refused("tls_certificate_provider_instance", "custom_tls_certificate_selector", "tls_certificate_certificate_provider",
				"tls_certificate_certificate_provider_instance", "custom_handshaker", "key_log",
				"validation_context_certificate_provider", "validation_context_certificate_provider_instance")),
		fields.Message(p+"CommonTlsContext.CombinedCertificateValidationContext",
			fields.Supported("default_validation_context", "validation_context_sds_secret_config"),
			fields.Refused("validation_context_certificate_provider", "validation_context_certificate_provider_instance")),
		fields.Message(p+"TlsParameters",
			fields.Supported("tls_minimum_protocol_version", "tls_maximum_protocol_version", "cipher_suites", "ecdh_curves"),
			fields.Refused("signature_algorithms", "compliance_policies")),
		fields.Message(p+"TlsCertificate",
			fields.Supported("certificate_chain", "private_key", "watched_directory"),
			fields.Ignored("signed_certificate_timestamp"),
			fields.Refused("pkcs12", "private_key_provider", "password", "ocsp_staple", "tls_params")),
		fields.Message(p+"TlsSessionTicketKeys", fields.Supported("keys")),
		fields.Message(p+"CertificateValidationContext",
			fields.Supported("trusted_ca", "system_root_certs", "verify_certificate_spki", "verify_certificate_hash",
				"match_typed_subject_alt_names", "match_subject_alt_names", "crl", "allow_expired_certificate", "trust_chain_verification",
				"only_verify_leaf_cert_crl", "max_verify_depth", "suppress_client_ca_list", "watched_directory"), // directories in secrets alone, as in Envoy
			fields.Ignored("require_signed_certificate_timestamp"),
			fields.Refused("ca_certificate_provider_instance", "custom_validator_config")),
		fields.Message(p+"CertificateValidationContext.SystemRootCerts"),
		fields.Message(p+"SubjectAltNameMatcher", fields.Supported("san_type", "matcher"), fields.Refused("oid")),
		fields.Message(p+"SdsSecretConfig", fields.Supported("name", "sds_config")),
		fields.Message(p+"Secret",
			fields.Supported("name", "tls_certificate", "validation_context"),
			fields.NoEffect("session_ticket_keys", "generic_secret")), // nothing asks for them yet
		fields.Message("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"),
	)
}
