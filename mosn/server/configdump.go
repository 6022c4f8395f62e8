package server

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sofamesh.io/sofamesh/mosn/config"
)

// configDump writes what is in force, as Envoy's /config_dump. ?resource= picks the
// elements of one list (dynamic_listeners), ?mask= some fields of them, or of each
// part, ?name_regex= those whose names fit; ?include_eds adds the endpoints.
func (a *admin) configDump(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d := dumper{store: a.p.store}
	if q.Has("name_regex") {
		names, err := regexp.Compile("^(?:" + q.Get("name_regex") + ")$")
		if err != nil {
			plainError(w, http.StatusBadRequest, "Error while parsing name_regex from %s: %v", q.Get("name_regex"), err)
			return
		}
		d.names = names
	}
	d.bootstrap(a.p)
	d.clusters()
	d.extensions()
	if q.Has("include_eds") {
		d.endpoints(a.p)
	}
	d.listeners()
	d.parts = append(d.parts, &adminv3.ScopedRoutesConfigDump{})
	d.routes()
	d.secrets()
	if d.err != nil {
		plainError(w, http.StatusInternalServerError, "%v", d.err)
		return
	}
	parts, status, text := selectParts(d.parts, q.Get("resource"), q.Get("mask"))
	if text != "" {
		plainError(w, status, "%s", text)
		return
	}
	dump := &adminv3.ConfigDump{}
	for _, m := range parts {
		redact(m.ProtoReflect())
		packed, err := anypb.New(m)
		if err != nil {
			plainError(w, http.StatusInternalServerError, "%v", err)
			return
		}
		dump.Configs = append(dump.Configs, packed)
	}
	writeProto(w, dump)
}

func plainError(w http.ResponseWriter, status int, format string, args ...any) {
	w.WriteHeader(status)
	fmt.Fprintf(w, format, args...)
}

// selectParts applies resource and mask. text is what is wrong with them.
func selectParts(parts []proto.Message, resource, mask string) (out []proto.Message, status int, text string) {
	if resource == "" && mask == "" {
		return parts, 0, ""
	}
	if resource == "" {
		for _, part := range parts {
			if trimmed, ok := trim(part, mask, false); ok {
				out = append(out, trimmed)
			}
		}
		return out, 0, ""
	}
	found := false
	for _, part := range parts {
		m := part.ProtoReflect()
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(resource))
		if fd == nil {
			continue
		}
		if !fd.IsList() || fd.Message() == nil {
			return nil, http.StatusBadRequest, resource + " is not a repeated field. Use ?mask=" + resource + " to get only this field"
		}
		found = true
		for i := range m.Get(fd).List().Len() {
			element := m.Get(fd).List().Get(i).Message().Interface()
			if mask != "" {
				var ok bool
				if element, ok = trim(element, mask, true); !ok {
					return nil, http.StatusBadRequest, "FieldMask paths: \"" + mask + "\" could not be successfully used."
				}
			}
			out = append(out, element)
		}
	}
	if !found {
		return nil, http.StatusNotFound, resource + " not found in config dump"
	}
	return out, 0, ""
}

// dumper puts the parts of a ConfigDump together.
type dumper struct {
	store *config.Store
	names *regexp.Regexp // nil: all
	parts []proto.Message
	err   error // the first
}

func (d *dumper) fits(name string) bool { return d.names == nil || d.names.MatchString(name) }

// pack puts a copy of m into an Any: what is shown gets its secrets taken out.
func (d *dumper) pack(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	if err != nil && d.err == nil {
		d.err = err
	}
	return packed
}

// entries calls f for those of a type whose names fit.
func (d *dumper) entries(typ string, f func(e *config.Entry)) {
	for _, e := range d.store.Entries(typ) {
		if d.fits(e.Key.Name) {
			f(&e)
		}
	}
}

// failure is the error_state of an entry, nil when it has none.
func (d *dumper) failure(e *config.Entry) *adminv3.UpdateFailureState {
	if e.Refused == nil {
		return nil
	}
	f := &adminv3.UpdateFailureState{
		LastUpdateAttempt: timestamppb.New(e.RefusedAt), Details: e.Refused.Error(), VersionInfo: e.AttemptVersion,
	}
	if e.Attempt != nil {
		f.FailedConfiguration = d.pack(e.Attempt)
	}
	return f
}

func (d *dumper) bootstrap(p *Proxy) {
	boot := proto.CloneOf(p.boot.Load().Proto)
	boot.Node = p.node()
	d.parts = append(d.parts, &adminv3.BootstrapConfigDump{Bootstrap: boot, LastUpdated: timestamppb.New(p.started)})
}

func (d *dumper) clusters() {
	out := &adminv3.ClustersConfigDump{}
	out.VersionInfo, _ = d.store.FeedVersion(config.ClusterType)
	dynamic := func(v *config.Version, e *config.Entry) *adminv3.ClustersConfigDump_DynamicCluster {
		c := &adminv3.ClustersConfigDump_DynamicCluster{ErrorState: d.failure(e)}
		if v != nil {
			c.VersionInfo, c.Cluster, c.LastUpdated = v.Info, d.pack(v.Proto()), timestamppb.New(v.Updated)
		}
		return c
	}
	d.entries(config.ClusterType, func(e *config.Entry) {
		switch {
		case e.Static:
			if v := e.Current(); v != nil {
				out.StaticClusters = append(out.StaticClusters, &adminv3.ClustersConfigDump_StaticCluster{
					Cluster: d.pack(v.Proto()), LastUpdated: timestamppb.New(v.Updated),
				})
			}
		case e.Warming == nil && e.Active == nil:
			out.DynamicWarmingClusters = append(out.DynamicWarmingClusters, dynamic(nil, e))
		default:
			if e.Warming != nil {
				out.DynamicWarmingClusters = append(out.DynamicWarmingClusters, dynamic(e.Warming, e))
			}
			if e.Active != nil {
				out.DynamicActiveClusters = append(out.DynamicActiveClusters, dynamic(e.Active, e))
			}
		}
	})
	d.parts = append(d.parts, out)
}

func (d *dumper) extensions() {
	out := &adminv3.EcdsConfigDump{}
	d.entries(config.ExtensionType, func(e *config.Entry) {
		f := &adminv3.EcdsConfigDump_EcdsFilterConfig{ErrorState: d.failure(e)}
		if v := e.Active; v != nil {
			f.VersionInfo, f.EcdsFilter, f.LastUpdated = v.Info, d.pack(v.Proto()), timestamppb.New(v.Updated)
		}
		if e.Active != nil || e.Refused != nil {
			out.EcdsFilters = append(out.EcdsFilters, f)
		}
	})
	if len(out.EcdsFilters) > 0 {
		d.parts = append(d.parts, out)
	}
}

func (d *dumper) endpoints(p *Proxy) {
	out := &adminv3.EndpointsConfigDump{}
	d.entries(config.ClusterType, func(e *config.Entry) {
		a := p.clusters.Assignment(e.Key.Name)
		switch {
		case a == nil:
		case e.Static:
			out.StaticEndpointConfigs = append(out.StaticEndpointConfigs,
				&adminv3.EndpointsConfigDump_StaticEndpointConfig{EndpointConfig: d.pack(a)})
		default:
			out.DynamicEndpointConfigs = append(out.DynamicEndpointConfigs,
				&adminv3.EndpointsConfigDump_DynamicEndpointConfig{EndpointConfig: d.pack(a)})
		}
	})
	d.parts = append(d.parts, out)
}

func (d *dumper) listeners() {
	out := &adminv3.ListenersConfigDump{}
	out.VersionInfo, _ = d.store.FeedVersion(config.ListenerType)
	state := func(v *config.Version) *adminv3.ListenersConfigDump_DynamicListenerState {
		if v == nil {
			return nil
		}
		return &adminv3.ListenersConfigDump_DynamicListenerState{
			VersionInfo: v.Info, Listener: d.pack(v.Proto()), LastUpdated: timestamppb.New(v.Updated),
		}
	}
	d.entries(config.ListenerType, func(e *config.Entry) {
		if !e.Static {
			out.DynamicListeners = append(out.DynamicListeners, &adminv3.ListenersConfigDump_DynamicListener{
				Name: e.Key.Name, ActiveState: state(e.Active), WarmingState: state(e.Warming), ErrorState: d.failure(e),
			})
		} else if v := e.Current(); v != nil {
			out.StaticListeners = append(out.StaticListeners, &adminv3.ListenersConfigDump_StaticListener{
				Listener: d.pack(v.Proto()), LastUpdated: timestamppb.New(v.Updated),
			})
		}
	})
	d.parts = append(d.parts, out)
}

func (d *dumper) routes() {
	out := &adminv3.RoutesConfigDump{}
	for _, e := range d.store.Entries(config.ListenerType) {
		if v := e.Current(); v != nil {
			d.inlineRoutes(out, v)
		}
	}
	d.entries(config.RouteType, func(e *config.Entry) {
		rc := &adminv3.RoutesConfigDump_DynamicRouteConfig{ErrorState: d.failure(e)}
		if v := e.Active; v != nil {
			rc.VersionInfo, rc.RouteConfig, rc.LastUpdated = v.Info, d.pack(v.Proto()), timestamppb.New(v.Updated)
		}
		if e.Active != nil || e.Refused != nil {
			out.DynamicRouteConfigs = append(out.DynamicRouteConfigs, rc)
		}
	})
	d.parts = append(d.parts, out)
}

// inlineRoutes adds the route tables that stand inside a listener.
func (d *dumper) inlineRoutes(out *adminv3.RoutesConfigDump, v *config.Version) {
	l, ok := v.Proto().(*listenerv3.Listener)
	if !ok {
		return
	}
	for _, chain := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		for _, f := range chain.GetFilters() {
			hcm := &hcmv3.HttpConnectionManager{}
			if !f.GetTypedConfig().MessageIs(hcm) || f.GetTypedConfig().UnmarshalTo(hcm) != nil {
				continue // it compiled, so only another filter comes here
			}
			rc := hcm.GetRouteConfig()
			if rc == nil || !d.fits(rc.GetName()) {
				continue
			}
			out.StaticRouteConfigs = append(out.StaticRouteConfigs, &adminv3.RoutesConfigDump_StaticRouteConfig{
				RouteConfig: d.pack(rc), LastUpdated: timestamppb.New(v.Updated),
			})
		}
	}
}

func (d *dumper) secrets() {
	out := &adminv3.SecretsConfigDump{}
	d.entries(config.SecretType, func(e *config.Entry) {
		switch v := e.Active; {
		case v == nil:
		case e.Static:
			out.StaticSecrets = append(out.StaticSecrets, &adminv3.SecretsConfigDump_StaticSecret{
				Name: e.Key.Name, Secret: d.pack(v.Proto()), LastUpdated: timestamppb.New(v.Updated),
			})
		default:
			out.DynamicActiveSecrets = append(out.DynamicActiveSecrets, &adminv3.SecretsConfigDump_DynamicSecret{
				Name: e.Key.Name, VersionInfo: v.Info, Secret: d.pack(v.Proto()), LastUpdated: timestamppb.New(v.Updated),
			})
		}
	})
	d.parts = append(d.parts, out)
}
