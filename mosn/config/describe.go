package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/mosn/fields"
)

// Table returns the status of every declared field.
func (r *Registry) Table() fields.Table { return maps.Clone(r.table) }

// Known yields the extensions of Envoy's and our own, sorted by category and name:
// those that are here with the messages that configure them, the others without.
func (r *Registry) Known() []Extension {
	here := r.here()
	for key, name := range r.known {
		category, word, _ := strings.Cut(key, " ")
		if word == name && !slices.ContainsFunc(here, func(e Extension) bool { return e.Category == category && e.Name == name }) {
			here = append(here, Extension{Category: category, Name: name, Here: r.compiled(category, name)})
		}
	}
	slices.SortFunc(here, func(a, b Extension) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Name, b.Name))
	})
	return here
}

// compiled reports whether an extension is compiled where it stands, such as the inputs
// of a matcher tree: a field of its configuration is declared, or it has none.
func (r *Registry) compiled(category, name string) bool {
	switch category {
	case "envoy.matching.common_inputs", "envoy.matching.http.input", "envoy.matching.http.custom_matchers", "envoy.matching.input_matchers",
		"envoy.rbac.matchers", "envoy.rbac.principals", "envoy.formatter":
	default:
		return false
	}
	switch strings.TrimPrefix(name, "envoy.matching.inputs.") {
	case "destination_ip", "destination_port", "source_ip", "source_port", "direct_source_ip", "source_type", "server_name", "cel_data_input",
		"status_code_input", "status_code_class_input":
		return true
	}
	for field := range r.table {
		if r.known[category+" "+field[:strings.LastIndexByte(field, '.')]] == name {
			return true
		}
	}
	return false
}

// Extension is an extension as documentation shows it.
type Extension struct {
	Category, Name string
	Here           bool
	Messages       []protoreflect.MessageDescriptor // of the proxy and by route
}

func (r *Registry) here() []Extension {
	var list []Extension
	add := func(category, name string, configs ...proto.Message) {
		e := Extension{Category: category, Name: name, Here: true}
		for _, m := range configs {
			if m != nil && !slices.Contains(e.Messages, m.ProtoReflect().Descriptor()) { // one may be of both
				e.Messages = append(e.Messages, m.ProtoReflect().Descriptor())
			}
		}
		list = append(list, e)
	}
	for _, f := range r.http.byName {
		add(categoryHTTP, f.Name, f.Config, f.Route)
	}
	for _, f := range r.network.byName {
		add(categoryNetwork, f.Name, f.Config)
	}
	for _, l := range r.logs.byName {
		add(categoryLog, l.Name, l.Config)
	}
	for _, b := range r.boot.byName {
		add(categoryBootstrap, b.Name, b.Config)
	}
	// Those that a resource's own compiler knows.
	add("envoy.http.stateful_header_formatters", "envoy.http.stateful_header_formatters.preserve_case", &preservecasev3.PreserveCaseFormatterConfig{})
	add("envoy.retry_host_predicates", "envoy.retry_host_predicates.previous_hosts", &previoushostsv3.PreviousHostsPredicate{})
	add("envoy.transport_sockets.downstream", "envoy.transport_sockets.raw_buffer", &rawv3.RawBuffer{})
	add("envoy.transport_sockets.upstream", "envoy.transport_sockets.raw_buffer", &rawv3.RawBuffer{})
	add("envoy.upstream_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions", &httpv3.HttpProtocolOptions{})
	return list
}

// Messages returns the messages from which all of the configuration can be reached:
// the resources, what wraps settings by route, the services that extensions call,
// and the configurations of the extensions themselves.
func (r *Registry) Messages() []protoreflect.MessageDescriptor {
	var roots []protoreflect.MessageDescriptor
	for _, m := range []proto.Message{&bootstrapv3.Bootstrap{}, &listenerv3.Listener{}, &routev3.RouteConfiguration{}, &routev3.FilterConfig{},
		&clusterv3.Cluster{}, &endpointv3.ClusterLoadAssignment{}, &corev3.GrpcService{}, &corev3.HttpService{}} {
		roots = append(roots, m.ProtoReflect().Descriptor())
	}
	for _, e := range r.here() {
		roots = append(roots, e.Messages...)
	}
	return roots
}
