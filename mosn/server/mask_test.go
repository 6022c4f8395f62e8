package server

import (
	"strings"
	"testing"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestTrim: what Envoy's /config_dump?mask= does, for elements and for whole parts.
func TestTrim(t *testing.T) {
	element := sdktest.Text[adminv3.ClustersConfigDump_StaticCluster](t, `last_updated { seconds: 1 } cluster {
		[type.googleapis.com/envoy.config.cluster.v3.Cluster] { name: "a" connect_timeout { seconds: 1 } lb_policy: MAGLEV } }`)
	part := &adminv3.ClustersConfigDump{VersionInfo: "v", StaticClusters: []*adminv3.ClustersConfigDump_StaticCluster{element}}
	for _, tt := range []struct {
		m      proto.Message
		mask   string
		inside bool
		want   string // a part of the text; "" when the mask is wrong
		not    string
	}{
		{element, "cluster.name", true, `name: "a"`, "seconds"},
		{element, "cluster.name,last_updated", true, "seconds: 1", "MAGLEV"},
		{element, "cluster", true, "MAGLEV", "last_updated"},
		{element, "cluster,cluster.name", true, "MAGLEV", "last_updated"},
		{element, "cluster.name,cluster", true, "MAGLEV", "last_updated"},
		{element, "bogus", true, "", ""},
		{element, "cluster.bogus", true, "", ""},
		{part, "version_info", false, `version_info: "v"`, "cluster"},
		{part, "static_clusters", false, "MAGLEV", "version_info"},
		{part, "static_clusters.cluster", false, "", ""}, // a mask does not go through a list
		{part, "bootstrap", false, "", ""},
	} {
		before := prototext.Format(tt.m)
		out, ok := trim(tt.m, tt.mask, tt.inside)
		text := strings.ReplaceAll(prototext.Format(out), "  ", " ")
		switch {
		case ok != (tt.want != ""):
			t.Errorf("%s: %v", tt.mask, ok)
		case ok && (!strings.Contains(text, tt.want) || tt.not != "" && strings.Contains(text, tt.not)):
			t.Errorf("%s gives %s", tt.mask, text)
		case prototext.Format(tt.m) != before:
			t.Errorf("%s has changed the original", tt.mask)
		}
	}
}

// TestRedact: no secret is shown, however it is wrapped.
func TestRedact(t *testing.T) {
	secret := sdktest.Text[tlsv3.Secret](t, `name: "visible" tls_certificate {
		certificate_chain { inline_string: "CHAIN" } private_key { inline_bytes: "HIDE1" } password { inline_string: "HIDE2" } }`)
	keys := sdktest.Text[tlsv3.Secret](t, `name: "visible" session_ticket_keys { keys { inline_bytes: "HIDE3" } keys { filename: "HIDE4" } }`)
	dump := &adminv3.SecretsConfigDump{}
	for _, s := range []*tlsv3.Secret{secret, keys} {
		packed, err := anypb.New(s)
		if err != nil {
			t.Fatal(err)
		}
		dump.StaticSecrets = append(dump.StaticSecrets, &adminv3.SecretsConfigDump_StaticSecret{Name: "visible", Secret: packed})
	}
	outer, err := anypb.New(dump)
	if err != nil {
		t.Fatal(err)
	}
	all := &adminv3.ConfigDump{Configs: []*anypb.Any{outer}}
	redact(all.ProtoReflect())
	text := prototext.Format(all)
	if strings.Contains(text, "HIDE") || !strings.Contains(text, "CHAIN") || strings.Count(text, redacted) != 4 || !strings.Contains(text, `"visible"`) {
		t.Error(text)
	}
}
