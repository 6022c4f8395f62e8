package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"runtime"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
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
	n := proto.CloneOf(p.boot.Load().Proto.GetNode())
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
