package config

import (
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/sdk"
)

// TestEveryFieldIsDeclared walks from the resources and from the configuration of
// every extension through all fields that are supported.
func TestEveryFieldIsDeclared(t *testing.T) {
	r := newRegistry(t)
	roots := []protoreflect.MessageDescriptor{
		(&bootstrapv3.Bootstrap{}).ProtoReflect().Descriptor(),
		(&listenerv3.Listener{}).ProtoReflect().Descriptor(),
		(&clusterv3.Cluster{}).ProtoReflect().Descriptor(),
	}
	for _, f := range r.http.byName {
		roots = append(roots, f.Config.ProtoReflect().Descriptor())
	}
	for _, f := range r.network.byName {
		roots = append(roots, f.Config.ProtoReflect().Descriptor())
	}
	for _, l := range r.logs.byName {
		roots = append(roots, l.Config.ProtoReflect().Descriptor())
	}
	for _, t := range r.tracers.byName {
		roots = append(roots, t.Config.ProtoReflect().Descriptor())
	}
	for _, field := range r.table.Undeclared(roots...) {
		t.Errorf("%s has no status", field)
	}
}

func TestRegistryRefusesDoubles(t *testing.T) {
	e := extensions()
	for _, double := range []Extensions{
		{Codecs: e.Codecs}, {HTTPFilters: e.HTTPFilters}, {NetworkFilters: e.NetworkFilters}, {AccessLogs: e.AccessLogs}, {Tracers: e.Tracers},
	} {
		if _, err := NewRegistry(e.With(double)); err == nil || !strings.Contains(err.Error(), "is listed twice") {
			t.Errorf("%+v: %v", double, err)
		}
	}
	contradiction := Extensions{Fields: []sdk.FieldStatus{{"envoy.config.core.v3.Node.id": sdk.Refused}}}
	if _, err := NewRegistry(e.With(contradiction)); err == nil || !strings.Contains(err.Error(), "envoy.config.core.v3.Node.id") {
		t.Errorf("a contradiction gives %v", err)
	}
}

// TestKnownNames tries the table on extensions of every category that has a place
// in today's messages.
func TestKnownNames(t *testing.T) {
	r := newRegistry(t)
	for _, c := range []struct{ category, name, typ, want string }{
		{categoryHTTP, "x", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "envoy.filters.http.ext_authz is known but not built yet"},
		{categoryHTTP, "envoy.filters.http.ext_authz", "", "envoy.filters.http.ext_authz is known but not built yet"},
		{categoryNetwork, "envoy.filters.network.redis_proxy", "", "envoy.filters.network.redis_proxy is known but not built yet"},
		{categoryLog, "envoy.access_loggers.open_telemetry", "", "envoy.access_loggers.open_telemetry is known but not built yet"},
		{categoryLog, "envoy.filters.http.ext_authz", "", "there is no envoy.access_loggers extension"},
		{categoryHTTP, "x", "acme.Filter", "of type acme.Filter"},
	} {
		if err := r.missing(c.category, c.name, c.typ); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if len(r.known) < 900 || len(r.types) < 350 {
		t.Errorf("the table knows %d names and %d types", len(r.known), len(r.types))
	}
}

func TestTypeURLs(t *testing.T) {
	r := newRegistry(t)
	mt, err := r.messageType("type.googleapis.com/envoy.config.core.v3.Node")
	if err != nil || mt.Descriptor().Name() != "Node" {
		t.Errorf("%v, %v", mt, err)
	}
	if typeName("a/b/c.D") != "c.D" || typeName("c.D") != "c.D" || typeName("") != "" {
		t.Error("typeName")
	}
}

// TestGoNames: the names that validation reports are found in the descriptors.
func TestGoNames(t *testing.T) {
	for proto, want := range map[string]string{
		"name": "Name", "port_value": "PortValue", "ipv4_compat": "Ipv4Compat", "a_1": "A_1", "http_100": "Http_100", "x_": "X_",
		"use_http2": "UseHttp2",
	} {
		if got := goName(proto); got != want {
			t.Errorf("%s is %s in Go, want %s", proto, got, want)
		}
	}
}
