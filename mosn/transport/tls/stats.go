package tls

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"

	"sofamesh.io/sofamesh/sdk"
)

// sslStats are Envoy's counters of TLS, under <resource>.ssl.
type sslStats struct {
	scope                                        sdk.Scope
	connectionError, handshake, sessionReused    sdk.Counter
	noCertificate, noCert                        sdk.Counter
	verifyFailed, verifySAN, verifyHash, overrun sdk.Counter
	stapleRequest, stapleOmitted                 sdk.Counter
}

// newStats returns the counters; scope is the listener's or the cluster's.
func newStats(scope sdk.Scope) sslStats {
	s := scope.Scope("ssl")
	for _, name := range []string{"ocsp_staple_failed", "ocsp_staple_responses", "was_key_usage_invalid"} {
		s.Counter(name) // they stay 0
	}
	return sslStats{
		scope: s, connectionError: s.Counter("connection_error"), handshake: s.Counter("handshake"),
		sessionReused: s.Counter("session_reused"), noCertificate: s.Counter("no_certificate"),
		noCert: s.Counter("fail_verify_no_cert"), verifyFailed: s.Counter("fail_verify_error"),
		verifySAN: s.Counter("fail_verify_san"), verifyHash: s.Counter("fail_verify_cert_hash"),
		overrun: s.Counter("handshake_overflow"), stapleRequest: s.Counter("ocsp_staple_requests"), stapleOmitted: s.Counter("ocsp_staple_omitted"),
	}
}

// count counts a handshake that failed.
func (t *conn) count(err error) {
	s := &t.side.stats
	bad, isBad := errors.AsType[*verifyError](err)
	switch {
	case err == errTooMany:
		t.st.Inc(s.overrun)
	case err == errNotReady:
	case err.Error() == noCertText:
		t.st.Inc(s.noCert)
	case !isBad:
		t.st.Inc(s.connectionError)
	case bad.verdict == badSAN:
		t.st.Inc(s.verifySAN)
	case bad.verdict == badHash:
		t.st.Inc(s.verifyHash)
	default:
		t.st.Inc(s.verifyFailed)
	}
}

// summary says what a handshake has agreed on, even if it then failed, and what it adds
// to. It runs on the worker, as it asks for counters by name.
func (t *conn) summary(done bool) (*sdk.TLSInfo, []sdk.Counter) {
	cs := t.tls.ConnectionState()
	info := &sdk.TLSInfo{
		Version: versionName(cs.Version), Cipher: suiteName(cs.CipherSuite), Group: groupName(cs.CurveID),
		ServerName: cs.ServerName, ALPN: cs.NegotiatedProtocol, Resumed: cs.DidResume,
		Peer: cs.PeerCertificates, Local: t.set.localOf(t),
	}
	s := &t.side.stats
	var counts []sdk.Counter
	if t.wire.staple {
		counts = append(counts, s.stapleRequest, s.stapleOmitted)
	}
	if !done {
		info.Version = cmp.Or(info.Version, versionName(tls.VersionTLS12)) // as in BoringSSL before there is one
		if cs.CipherSuite == 0 {
			info.Cipher = ""
		}
		return info, counts
	}
	info.Validated = len(info.Peer) > 0 && t.set.validates
	counts = append(counts, s.handshake)
	if info.Resumed {
		counts = append(counts, s.sessionReused)
	}
	if len(info.Peer) == 0 {
		counts = append(counts, s.noCertificate)
	}
	for _, part := range [][2]string{{"versions", info.Version}, {"ciphers", info.Cipher}, {"curves", info.Group}} {
		if part[1] != "" {
			counts = append(counts, s.scope.Scope(part[0]).Counter(part[1]))
		}
	}
	return info, counts
}

func isEnd(err error) bool { return err == io.EOF }
