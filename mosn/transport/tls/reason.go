package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
)

// noCertText is crypto/tls's error for a client without a certificate.
const noCertText = "tls: client didn't provide a certificate"

// Reason is why TLS failed, in the form of Envoy's %..._TRANSPORT_FAILURE_REASON%: as
// BoringSSL would put it, where it is known what that would say.
type Reason struct{ text string }

func (r *Reason) Error() string { return r.text }

// The numbers of BoringSSL's errors: its library, and a reason.
const (
	sslLibrary        = 16 << 24
	alertReason       = 1000 // from here, one an alert
	verifyFailed      = 125
	noPeerCertificate = 192
	unsupportedProto  = 240
	noSharedCipher    = 184
	wrongVersion      = 247
	httpRequest       = 156
)

func boring(reason int, name string) *Reason {
	return &Reason{fmt.Sprintf("TLS_error:|%d:SSL routines:OPENSSL_internal:%s:TLS_error_end", sslLibrary|reason, name)}
}

// reasonOf puts an error of a handshake or of the records after it into Envoy's form.
func reasonOf(err error) *Reason {
	if bad, ok := errors.AsType[*verifyError](err); ok {
		return boring(verifyFailed, "CERTIFICATE_VERIFY_FAILED:"+bad.text)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
			return boring(alertReason+int(v.Uint()), alertName(int(v.Uint())))
		}
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if looksLikeHTTP(header.RecordHeader[:]) {
			return boring(httpRequest, "HTTP_REQUEST")
		}
		return boring(wrongVersion, "WRONG_VERSION_NUMBER")
	}
	switch text := err.Error(); {
	case text == noCertText:
		return boring(noPeerCertificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE:peer did not provide required client certificate")
	case strings.Contains(text, "no cipher suite supported by both"):
		return boring(noSharedCipher, "NO_SHARED_CIPHER")
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "unsupported protocol version"):
		return boring(unsupportedProto, "UNSUPPORTED_PROTOCOL")
	default:
		return &Reason{"TLS_error:|" + strings.TrimPrefix(text, "tls: ") + ":TLS_error_end"}
	}
}

func looksLikeHTTP(p []byte) bool {
	for _, method := range []string{"GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "PATC", "CONN"} {
		if strings.HasPrefix(string(p), method) {
			return true
		}
	}
	return false
}

// alertName is what BoringSSL calls an alert of the peer's.
func alertName(alert int) string {
	names := map[int]string{
		10: "SSLV3_ALERT_UNEXPECTED_MESSAGE", 20: "SSLV3_ALERT_BAD_RECORD_MAC", 22: "TLSV1_ALERT_RECORD_OVERFLOW",
		40: "SSLV3_ALERT_HANDSHAKE_FAILURE", 42: "SSLV3_ALERT_BAD_CERTIFICATE", 43: "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
		44: "SSLV3_ALERT_CERTIFICATE_REVOKED", 45: "SSLV3_ALERT_CERTIFICATE_EXPIRED", 46: "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
		47: "SSLV3_ALERT_ILLEGAL_PARAMETER", 48: "TLSV1_ALERT_UNKNOWN_CA", 49: "TLSV1_ALERT_ACCESS_DENIED",
		50: "TLSV1_ALERT_DECODE_ERROR", 51: "TLSV1_ALERT_DECRYPT_ERROR", 70: "TLSV1_ALERT_PROTOCOL_VERSION",
		71: "TLSV1_ALERT_INSUFFICIENT_SECURITY", 80: "TLSV1_ALERT_INTERNAL_ERROR", 90: "TLSV1_ALERT_USER_CANCELLED",
		100: "TLSV1_ALERT_NO_RENEGOTIATION", 109: "TLSV1_ALERT_MISSING_EXTENSION", 112: "TLSV1_ALERT_UNRECOGNIZED_NAME",
		116: "TLSV1_ALERT_CERTIFICATE_REQUIRED", 120: "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
	}
	if name := names[alert]; name != "" {
		return name
	}
	return fmt.Sprintf("TLSV1_ALERT_%d", alert)
}
