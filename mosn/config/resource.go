package config

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

func (r *Resource) key() Key {
	if r.Proto != nil {
		return Key{r.Type, resourceName(r.Proto)}
	}
	return Key{r.Type, r.Name}
}

func resourceName(m proto.Message) string {
	switch m := m.(type) {
	case *listenerv3.Listener:
		return listener.Name(m)
	case *endpointv3.ClusterLoadAssignment:
		return m.GetClusterName()
	case interface{ GetName() string }:
		return m.GetName()
	}
	return ""
}

// sum is the hash of the resource's bytes.
func (r *Resource) sum() ([sha256.Size]byte, error) {
	raw := r.Raw
	if r.Proto != nil {
		var err error
		if raw, err = (proto.MarshalOptions{Deterministic: true}).Marshal(r.Proto); err != nil {
			return [sha256.Size]byte{}, err
		}
	}
	return sha256.Sum256(raw), nil
}

// message returns the resource as a message.
func (r *Resource) message() (proto.Message, error) {
	if r.Proto != nil {
		return r.Proto, nil
	}
	return unmarshal(r.Type, r.Raw)
}

func unmarshal(typ string, raw []byte) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(typeName(typ)))
	if err != nil {
		return nil, fmt.Errorf("the type %s is not known", typeName(typ))
	}
	m := t.New().Interface()
	return m, proto.Unmarshal(raw, m)
}

// compile makes a version of a resource. On an error everything that it had asked for
// is given back. before, if not nil, sees the compiled value and may refuse it.
func (s *Store) compile(res *Resource, key Key, hash [sha256.Size]byte, before func(compiler, *Version) error) (*Version, []string, error) {
	u := &unit{store: s, name: label(key), where: res.Where, edges: map[string]bool{}}
	c := compiler{unit: u}
	m, err := res.message()
	if err != nil {
		return nil, nil, c.fault(err)
	}
	v := &Version{Info: res.Version, Updated: time.Now(), typ: res.Type, proto: res.Proto, raw: res.Raw, hash: hash}
	v.value, err = c.resource(m)
	if err == nil && before != nil {
		err = before(c, v)
	}
	if err != nil {
		for i := range u.uses {
			if p := u.uses[i].place; p != nil {
				p.slot.Close() // no chain is going to
			}
			u.uses[i].end(nil)
		}
		return nil, u.warnings, err
	}
	v.Clusters, v.uses = slices.Sorted(maps.Keys(u.edges)), u.uses
	return v, u.warnings, nil
}

// resource compiles one resource; c stands at its root.
func (c compiler) resource(m proto.Message) (any, error) {
	root := c.store.o.Stats.Root()
	if err := c.check(m); err != nil {
		return nil, err
	}
	c.scope = root
	switch m := m.(type) {
	case *clusterv3.Cluster:
		return c.cluster(m)
	case *listenerv3.Listener:
		c.listener = m
		return listener.Compile(c, m, listener.Options{
			Names: c.store.names, Runtime: c.store.o.Runtime,
			Filter: func(at sdk.Compiler, pb *listenerv3.Filter) (stream.ConnFactory, error) {
				return at.(compiler).networkFilter(pb)
			},
		})
	case *routev3.RouteConfiguration:
		return route.Compile(c, m, route.Options{Scope: root, Names: c.store.routed})
	case *endpointv3.ClusterLoadAssignment:
		return cluster.CompileAssignment(c, m)
	case *corev3.TypedExtensionConfig, *tlsv3.Secret:
		return m, nil // what comes of it is their users' to say
	}
	return nil, c.Errorf("a message of type %s is no resource", m.ProtoReflect().Descriptor().FullName())
}

// cluster compiles a cluster, and asks for its hosts if they come by themselves.
func (c compiler) cluster(m *clusterv3.Cluster) (*cluster.Config, error) {
	c.scope = c.store.o.Stats.Root().Scope(cluster.StatPrefix(m))
	rpc, err := c.rpc()
	if err != nil {
		return nil, err
	}
	cfg, err := cluster.Compile(c, m, cluster.CompileOptions{Kind: c.store.kind, BindConfig: c.store.o.BindConfig, RPC: rpc})
	if err != nil || m.GetType() != clusterv3.Cluster_EDS {
		return cfg, err
	}
	from := m.GetEdsClusterConfig().GetEdsConfig()
	_, err = c.at("eds_cluster_config.eds_config").subscribe(from, Want{EndpointType, cfg.EDSName()}, c.scope, updateEmpty)
	return cfg, err
}

// rpc returns the protocols beside HTTP for the side of the hosts, compiled once for
// all clusters.
func (c compiler) rpc() ([]sdk.CodecConfig, error) {
	s := c.store
	if s.rpc != nil {
		return s.rpc, nil
	}
	list := []sdk.CodecConfig{}
	for _, codec := range s.ext.codecs {
		if !codec.RPC {
			continue
		}
		cc, err := codec.Compile(c, sdk.Upstream, sdk.CodecOptions{})
		if err != nil {
			return nil, err
		}
		list = append(list, cc)
	}
	s.rpc = list
	return list, nil
}
