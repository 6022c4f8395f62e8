package accesslog

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// statuses looks at how a call of gRPC ended: the set has a bit for each status.
type statuses struct {
	set     uint32
	exclude bool
}

func compileGRPC(pb *accesslogv3.GrpcStatusFilter) statuses {
	f := statuses{exclude: pb.GetExclude()}
	for _, s := range pb.GetStatuses() {
		f.set |= 1 << uint32(s)
	}
	return f
}

func (f statuses) pass(info *sdk.StreamInfo, _, response, trailers *sdk.Headers) bool {
	code, ok := grpc.EndOf(response, trailers, info.ResponseCode)
	if !ok {
		code = grpc.Unknown
	}
	return code >= 0 && code < 32 && f.set>>code&1 != 0 != f.exclude
}

// metadata looks at a value that filters have written; without one it passes or not as
// configured.
type metadata struct {
	matcher match.Metadata
	missing bool
}

func compileMetadata(c sdk.Compiler, pb *accesslogv3.MetadataFilter) (filter, error) {
	f := &metadata{missing: pb.GetMatchIfKeyNotFound() == nil || pb.GetMatchIfKeyNotFound().GetValue()}
	if pb.GetMatcher() == nil {
		return always(f.missing), nil
	}
	var err error
	f.matcher, err = match.CompileMetadata(c.At("matcher"), pb.GetMatcher())
	return f, err
}

func (f *metadata) pass(info *sdk.StreamInfo, _, _, _ *sdk.Headers) bool {
	if !f.matcher.Found(&info.Dynamic) {
		return f.missing
	}
	return f.matcher.Match(&info.Dynamic)
}

// always passes everything or nothing.
type always bool

func (f always) pass(*sdk.StreamInfo, *sdk.Headers, *sdk.Headers, *sdk.Headers) bool { return bool(f) }

// traceable passes what a service has had traced, as Envoy's filter does despite its
// name: neither what clients nor what chance has.
type traceable struct{}

func (traceable) pass(info *sdk.StreamInfo, _, _, _ *sdk.Headers) bool {
	return info.TraceForced && !info.HealthCheck
}

// types looks at why the log is written: the set has a bit for each type that there is.
type types struct {
	set     uint32
	exclude bool
}

func compileType(pb *accesslogv3.LogTypeFilter) types {
	f := types{exclude: pb.GetExclude()}
	for _, t := range pb.GetTypes() {
		for own := sdk.LogNotSet; own <= sdk.LogUpstreamEnd; own++ {
			if own.String() == t.String() {
				f.set |= 1 << own
			}
		}
	}
	return f
}

func (f types) pass(info *sdk.StreamInfo, _, _, _ *sdk.Headers) bool {
	return f.set>>info.LogType&1 != 0 != f.exclude
}
