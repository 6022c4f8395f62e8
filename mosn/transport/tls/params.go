package tls

import (
	"crypto/tls"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/sdk"
)

// named is one of crypto/tls's numbers with the name that OpenSSL has for it.
type named[T any] struct {
	id   T
	name string
}

// suites are the cipher suites up to TLS 1.2 that crypto/tls has; those of TLS 1.3 are
// called the same everywhere.
func suites() []named[uint16] {
	return []named[uint16]{
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"},
		{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA"},
		{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256"},
		{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384"},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA"},
		{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA"},
	}
}

// defaultSuites is the number of suites that are offered unless others are named.
const defaultSuites = 6

func suiteName(id uint16) string {
	for _, s := range suites() {
		if s.id == id {
			return s.name
		}
	}
	return tls.CipherSuiteName(id)
}

func groups() []named[tls.CurveID] {
	return []named[tls.CurveID]{
		{tls.X25519MLKEM768, "X25519MLKEM768"}, {tls.X25519, "X25519"}, {tls.CurveP256, "P-256"},
		{tls.CurveP384, "P-384"}, {tls.CurveP521, "P-521"},
	}
}

// defaultGroups is the number of groups that are offered unless others are named.
const defaultGroups = 3

func groupName(id tls.CurveID) string {
	for _, g := range groups() {
		if g.id == id {
			return g.name
		}
	}
	return ""
}

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

// compileParams sets versions, cipher suites and groups. newest is the newest version
// unless another is named.
func compileParams(c sdk.Compiler, pb *tlsv3.TlsParameters, cfg *tls.Config, newest uint16) error {
	version := func(v tlsv3.TlsParameters_TlsProtocol, def uint16) uint16 {
		if v == tlsv3.TlsParameters_TLS_AUTO {
			return def
		}
		return tls.VersionTLS10 + uint16(v-tlsv3.TlsParameters_TLSv1_0)
	}
	cfg.MinVersion = version(pb.GetTlsMinimumProtocolVersion(), tls.VersionTLS12)
	cfg.MaxVersion = version(pb.GetTlsMaximumProtocolVersion(), newest)
	if cfg.MinVersion > cfg.MaxVersion {
		return c.At("tls_minimum_protocol_version").Errorf("%s is above the maximum, %s", versionName(cfg.MinVersion), versionName(cfg.MaxVersion))
	}
	var err error
	if cfg.CipherSuites, err = choose(c.At("cipher_suites"), "cipher suite", suiteList(pb.GetCipherSuites()), suites(), defaultSuites); err != nil {
		return err
	}
	cfg.CurvePreferences, err = choose(c.At("ecdh_curves"), "curve", pb.GetEcdhCurves(), groups(), defaultGroups)
	return err
}

// suiteList takes groups of equal preference, "[A|B]", apart: crypto/tls has an order of
// its own.
func suiteList(list []string) []string {
	var out []string
	for _, s := range list {
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			out = append(out, strings.Split(strings.TrimSuffix(inner, "]"), "|")...)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// choose turns names into numbers; without names it takes the first few.
func choose[T any](c sdk.Compiler, what string, names []string, known []named[T], first int) ([]T, error) {
	var out []T
	if len(names) == 0 {
		for _, k := range known[:first] {
			out = append(out, k.id)
		}
	}
	for _, name := range names {
		i := slices.IndexFunc(known, func(k named[T]) bool { return k.name == name })
		if i < 0 {
			return nil, c.Errorf("crypto/tls has no %s %q", what, name)
		}
		out = append(out, known[i].id)
	}
	return out, nil
}
