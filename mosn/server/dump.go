package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sofamesh.io/sofamesh/mosn/config"
)

// fileLog is what the older admin.access_log_path means.
func fileLog(path string) (*accesslogv3.AccessLog, error) {
	a, err := anypb.New(&filelogv3.FileAccessLog{Path: path})
	return &accesslogv3.AccessLog{
		Name: "envoy.access_loggers.file", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: a},
	}, err
}

// writeProto writes m as Envoy does: the proto's own names, one blank of indent.
func writeProto(w http.ResponseWriter, m proto.Message) {
	writeJSON(w, protojson.MarshalOptions{UseProtoNames: true}, m)
}

func writeJSON(w http.ResponseWriter, o protojson.MarshalOptions, m proto.Message) {
	raw, err := o.Marshal(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// protojson varies its blanks on purpose; this makes them steady.
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", " "); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out.WriteByte('\n')
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out.Bytes()) // the client may have gone
}

func (a *admin) serverInfo(w http.ResponseWriter, _ *http.Request) {
	up := time.Since(a.p.started).Truncate(time.Second)
	info := &adminv3.ServerInfo{
		Version: versionString(), State: adminv3.ServerInfo_State(a.p.current()), HotRestartVersion: "disabled",
		UptimeCurrentEpoch: durationpb.New(up), UptimeAllEpochs: durationpb.New(up),
		CommandLineOptions: a.p.o.proto(a.p.group.Len()), Node: a.p.node(),
	}
	writeJSON(w, protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}, info)
}

// proto is the command line in Envoy's message.
func (o *Options) proto(loops int) *adminv3.CommandLineOptions {
	c := &adminv3.CommandLineOptions{
		BaseId: uint64(o.BaseID), UseDynamicBaseId: o.DynamicBaseID, Concurrency: uint32(loops), ConfigPath: o.ConfigPath,
		ConfigYaml: o.ConfigYAML, AllowUnknownStaticFields: o.AllowUnknownStatic, AdminAddressPath: o.AdminAddressPath,
		LogLevel: o.LogLevel, ComponentLogLevel: o.ComponentLogLevel, LogFormat: o.LogFormat,
		LogFormatEscaped: o.LogFormatEscaped, LogPath: o.LogPath, ServiceCluster: o.ServiceCluster,
		ServiceNode: o.ServiceNode, ServiceZone: o.ServiceZone, DrainTime: durationpb.New(o.DrainTime),
		ParentShutdownTime: durationpb.New(o.ParentShutdownTime), DisableHotRestart: true,
		FileFlushInterval: durationpb.New(o.FileFlushInterval),
	}
	if o.DrainImmediate {
		c.DrainStrategy = adminv3.CommandLineOptions_Immediate
	}
	if o.Mode == InitOnly {
		c.Mode = adminv3.CommandLineOptions_InitOnly
	}
	return c
}

// node is who we are, with what we are built from.
func (p *Proxy) node() *corev3.Node {
	n := proto.CloneOf(p.boot.Proto.GetNode())
	b := buildOf()
	text := func(s string) *structpb.Value { return structpb.NewStringValue(s) }
	n.UserAgentName = "mosn"
	n.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
		Version: &typev3.SemanticVersion{MinorNumber: 1},
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"revision.sha": text(b.commit), "revision.status": text(b.state), "build.type": text("RELEASE"),
			"go.version": text(runtime.Version()),
		}},
	}}
	return n
}

// configDump writes what is in force. ?resource= picks one list (static_clusters,
// static_listeners, static_route_configs or bootstrap), ?name_regex= some of it.
func (a *admin) configDump(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Has("mask") {
		http.Error(w, "mask is not built yet", http.StatusBadRequest)
		return
	}
	names, err := regexp.Compile("^(?:" + q.Get("name_regex") + ")$")
	if err != nil {
		http.Error(w, "invalid name_regex: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !q.Has("name_regex") {
		names = nil
	}
	parts, err := a.p.dump(names)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	dump := &adminv3.ConfigDump{}
	resource := q.Get("resource")
	messages, known := choose(parts, resource)
	if !known {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "%s not found in config dump", resource)
		return
	}
	for _, m := range messages {
		packed, err := anypb.New(m)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		dump.Configs = append(dump.Configs, packed)
	}
	writeProto(w, dump)
}

// choose returns the elements of the list that a resource names, everything when it
// is "".
func choose(parts []proto.Message, resource string) (out []proto.Message, known bool) {
	if resource == "" {
		return parts, true
	}
	for _, part := range parts {
		m := part.ProtoReflect()
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(resource))
		switch {
		case fd == nil:
		case fd.IsList() && fd.Message() != nil:
			known = true
			for i := range m.Get(fd).List().Len() {
				out = append(out, m.Get(fd).List().Get(i).Message().Interface())
			}
		case fd.Message() != nil:
			known = true
			out = append(out, part)
		}
	}
	return out, known
}

// dump returns the parts of a ConfigDump, of resources only those whose names fit.
func (p *Proxy) dump(names *regexp.Regexp) ([]proto.Message, error) {
	fits := func(name string) bool { return names == nil || names.MatchString(name) }
	var parts []proto.Message
	if names == nil {
		boot := &bootstrapv3.Bootstrap{}
		proto.Merge(boot, p.boot.Proto)
		boot.Node = p.node()
		parts = append(parts, &adminv3.BootstrapConfigDump{Bootstrap: boot, LastUpdated: timestamppb.New(p.started)})
	}
	clusters := &adminv3.ClustersConfigDump{}
	for _, e := range p.store.Entries(config.ClusterType) {
		if e.Proto == nil || !fits(e.Key.Name) {
			continue
		}
		packed, err := anypb.New(e.Proto)
		if err != nil {
			return nil, err
		}
		clusters.StaticClusters = append(clusters.StaticClusters, &adminv3.ClustersConfigDump_StaticCluster{
			Cluster: packed, LastUpdated: timestamppb.New(e.Updated),
		})
	}
	listeners, routes := &adminv3.ListenersConfigDump{}, &adminv3.RoutesConfigDump{}
	for _, e := range p.store.Entries(config.ListenerType) {
		if e.Proto == nil {
			continue
		}
		packed, err := anypb.New(e.Proto)
		if err != nil {
			return nil, err
		}
		if fits(e.Key.Name) {
			listeners.StaticListeners = append(listeners.StaticListeners, &adminv3.ListenersConfigDump_StaticListener{
				Listener: packed, LastUpdated: timestamppb.New(e.Updated),
			})
		}
		if err := dumpRoutes(routes, e, fits); err != nil {
			return nil, err
		}
	}
	return append(parts, clusters, listeners, routes), nil
}

// dumpRoutes adds the route tables that stand inside a listener.
func dumpRoutes(out *adminv3.RoutesConfigDump, e config.Entry, fits func(string) bool) error {
	l := e.Proto.(*listenerv3.Listener)
	for _, chain := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		for _, f := range chain.GetFilters() {
			hcm := &hcmv3.HttpConnectionManager{}
			if !f.GetTypedConfig().MessageIs(hcm) || f.GetTypedConfig().UnmarshalTo(hcm) != nil {
				continue // it compiled, so only another filter comes here
			}
			rc := hcm.GetRouteConfig()
			if rc == nil || !fits(rc.GetName()) {
				continue
			}
			packed, err := anypb.New(rc)
			if err != nil {
				return err
			}
			out.StaticRouteConfigs = append(out.StaticRouteConfigs, &adminv3.RoutesConfigDump_StaticRouteConfig{
				RouteConfig: packed, LastUpdated: timestamppb.New(e.Updated),
			})
		}
	}
	return nil
}

// runtime shows the values of the static layers, as Envoy: entries with the value of
// each layer and the one in force.
func (a *admin) runtime(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		LayerValues []string `json:"layer_values"`
		Final       string   `json:"final_value"`
	}
	layers := a.p.boot.Proto.GetLayeredRuntime().GetLayers()
	out := struct {
		Layers  []string          `json:"layers"`
		Entries map[string]*entry `json:"entries"`
	}{[]string{}, map[string]*entry{}}
	for i, l := range layers {
		out.Layers = append(out.Layers, l.GetName())
		flatten("", l.GetStaticLayer(), func(key, value string) {
			e := out.Entries[key]
			if e == nil {
				e = &entry{LayerValues: make([]string, len(layers))}
				out.Entries[key] = e
			}
			e.LayerValues[i], e.Final = value, value
		})
	}
	text, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}

// flatten yields the leaves of a layer by their dotted keys.
func flatten(prefix string, s *structpb.Struct, yield func(key, value string)) {
	for name, v := range s.GetFields() {
		if inner := v.GetStructValue(); inner != nil && inner.Fields["numerator"] == nil {
			flatten(prefix+name+".", inner, yield)
			continue
		}
		text, isString := v.GetKind().(*structpb.Value_StringValue)
		if isString {
			yield(prefix+name, text.StringValue)
			continue
		}
		raw, err := v.MarshalJSON()
		if err == nil { // a value that was read can be written
			yield(prefix+name, strings.TrimSpace(string(raw)))
		}
	}
}
