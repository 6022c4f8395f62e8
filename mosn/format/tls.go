package format

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// tlsValue is what an operator asks of a connection's TLS: an sdk.TLSText, or one of
// those below; of the upstream connection with ofUpstream added.
type tlsValue uint8

const ofUpstream tlsValue = 1 << 7

const (
	tlsVersion tlsValue = 100 + iota
	tlsCipher
	tlsGroup
	tlsServerName
	tlsFailure // of the handshake
	tlsValidFrom
	tlsValidTo
)

// tlsOperators are those that TLS answers; in plain text they are missing.
var tlsOperators = func() map[string]tlsValue {
	both := map[string]tlsValue{
		"PEER_CERT": tlsValue(sdk.PeerCert), "PEER_CERT_V_START": tlsValidFrom, "PEER_CERT_V_END": tlsValidTo,
		"PEER_SUBJECT": tlsValue(sdk.PeerSubject), "PEER_ISSUER": tlsValue(sdk.PeerIssuer),
		"PEER_URI_SAN": tlsValue(sdk.PeerURISAN), "PEER_DNS_SAN": tlsValue(sdk.PeerDNSSAN), "PEER_IP_SAN": tlsValue(sdk.PeerIPSAN),
		"LOCAL_URI_SAN": tlsValue(sdk.LocalURISAN), "LOCAL_DNS_SAN": tlsValue(sdk.LocalDNSSAN), "LOCAL_IP_SAN": tlsValue(sdk.LocalIPSAN),
		"TLS_VERSION": tlsVersion, "TLS_CIPHER": tlsCipher, "TLS_GROUP": tlsGroup,
	}
	all := map[string]tlsValue{
		"UPSTREAM_SERVER_NAME": tlsServerName | ofUpstream, "DOWNSTREAM_TRANSPORT_FAILURE_REASON": tlsFailure,
		"DOWNSTREAM_PEER_EMAIL_SAN": tlsValue(sdk.PeerEmailSAN), "DOWNSTREAM_PEER_SERIAL": tlsValue(sdk.PeerSerial),
		"DOWNSTREAM_PEER_FINGERPRINT_1": tlsValue(sdk.PeerFingerprint1), "DOWNSTREAM_PEER_FINGERPRINT_256": tlsValue(sdk.PeerFingerprint256),
		"DOWNSTREAM_LOCAL_SUBJECT": tlsValue(sdk.LocalSubject), "DOWNSTREAM_LOCAL_EMAIL_SAN": tlsValue(sdk.LocalEmailSAN),
	}
	for name, v := range both {
		all["DOWNSTREAM_"+name] = v
		all["UPSTREAM_"+name] = v | ofUpstream
	}
	return all
}()

// tlsSpec is how such an operator is written.
func tlsSpec(v tlsValue) spec {
	if v &^= ofUpstream; v == tlsValidFrom || v == tlsValidTo {
		return spec{opTLS, optionalParams, false}
	}
	return spec{opTLS, noParams, false}
}

// appendTLS appends what TLS says.
func (p *part) appendTLS(dst []byte, info *sdk.StreamInfo) ([]byte, kind) {
	t := info.DownstreamTLS
	if p.tls&ofUpstream != 0 {
		t = info.UpstreamTLS
	}
	switch v := p.tls &^ ofUpstream; {
	case v == tlsFailure:
		if info.DownstreamFailure == "" {
			return dst, missing
		}
		return appendUnspaced(dst, info.DownstreamFailure), text
	case t == nil:
	case v == tlsVersion:
		return appendString(dst, t.Version)
	case v == tlsCipher:
		return appendString(dst, t.Cipher)
	case v == tlsGroup:
		return appendString(dst, t.Group)
	case v == tlsServerName:
		return appendString(dst, t.ServerName)
	case v == tlsValidFrom && len(t.Peer) > 0:
		return appendTime(dst, p.time, t.Peer[0].NotBefore.UTC().Truncate(time.Second)), text
	case v == tlsValidTo && len(t.Peer) > 0:
		return appendTime(dst, p.time, t.Peer[0].NotAfter.UTC().Truncate(time.Second)), text
	case v < tlsVersion:
		return appendString(dst, t.Text(sdk.TLSText(v)))
	}
	return dst, missing
}

// nameOrder says what REQUESTED_SERVER_NAME looks at.
type nameOrder uint8

const (
	sniOnly nameOrder = iota
	sniFirst
	hostFirst
)

// parseServerName reads "SNI_ONLY|SNI_FIRST|HOST_FIRST:ORIG|HOST|ORIG_OR_HOST".
func (p *part) parseServerName(args string) error {
	what, from, _ := strings.Cut(args, ":")
	switch what {
	case "SNI_ONLY", "":
		p.names = sniOnly
	case "SNI_FIRST":
		p.names = sniFirst
	case "HOST_FIRST":
		p.names = hostFirst
	default:
		return fmt.Errorf("%q is not SNI_ONLY, SNI_FIRST or HOST_FIRST", what)
	}
	return p.parseOrigin(from, "HOST")
}

// appendServerName appends the name that the client has asked for: in TLS as far as a
// listener filter has looked, or as host.
func (p *part) appendServerName(dst []byte, ctx *Context) ([]byte, kind) {
	sni, host := "", ""
	if ctx.Info != nil {
		sni = ctx.Info.RequestedServerName
	}
	if ctx.Request != nil && p.names != sniOnly {
		host = p.choose(ctx.Request.Value("x-envoy-original-host"), ctx.Request.Authority())
	}
	if p.names == hostFirst {
		return appendString(dst, cmp.Or(host, sni))
	}
	return appendString(dst, cmp.Or(sni, host))
}
