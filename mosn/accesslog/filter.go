package accesslog

import (
	"cmp"
	"math/rand/v2"
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// CompileOptions is what filters need beside the compiler.
type CompileOptions struct {
	Runtime *runtime.Values // nil: no overrides
}

// Compile compiles one entry of an access_log field; c stands at it.
func Compile(c sdk.Compiler, pb *accesslogv3.AccessLog, o CompileOptions) (sdk.AccessLogger, error) {
	logger, err := c.AccessLog(pb.GetName(), pb.GetTypedConfig())
	if err != nil || pb.GetFilter() == nil {
		return logger, err
	}
	f, err := compileFilter(c.At("filter"), pb.GetFilter(), o)
	if err != nil {
		return nil, err
	}
	return &filtered{f, logger}, nil
}

// CompileAll compiles the entries of the field access_log, c standing at its parent,
// into one logger; nil when there are none.
func CompileAll(c sdk.Compiler, pbs []*accesslogv3.AccessLog, o CompileOptions) (sdk.AccessLogger, error) {
	return CompileField(c, "access_log", pbs, o)
}

// CompileField is CompileAll for a field of another name.
func CompileField(c sdk.Compiler, field string, pbs []*accesslogv3.AccessLog, o CompileOptions) (sdk.AccessLogger, error) {
	var all several
	for i, pb := range pbs {
		logger, err := Compile(c.At(field+"["+strconv.Itoa(i)+"]"), pb, o)
		if err != nil {
			return nil, err
		}
		all = append(all, logger)
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return all, nil
}

// several is loggers one after the other.
type several []sdk.AccessLogger

// Log implements sdk.AccessLogger.
func (s several) Log(loop int, info *sdk.StreamInfo, request, response, trailers *sdk.Headers) {
	for _, l := range s {
		l.Log(loop, info, request, response, trailers)
	}
}

// filtered is a logger behind a filter.
type filtered struct {
	filter filter
	logger sdk.AccessLogger
}

// Log implements sdk.AccessLogger.
func (f *filtered) Log(loop int, info *sdk.StreamInfo, request, response, trailers *sdk.Headers) {
	if f.filter.pass(info, request, response, trailers) {
		f.logger.Log(loop, info, request, response, trailers)
	}
}

// filter decides whether a stream is logged. It is immutable and shared by loops.
type filter interface {
	pass(info *sdk.StreamInfo, request, response, trailers *sdk.Headers) bool
}

// Filter decides about a stream, elsewhere than before a logger. It is immutable and
// shared by loops.
type Filter struct{ filter filter }

// CompileFilter compiles a filter; c stands at it.
func CompileFilter(c sdk.Compiler, pb *accesslogv3.AccessLogFilter, o CompileOptions) (Filter, error) {
	f, err := compileFilter(c, pb, o)
	return Filter{f}, err
}

// Pass reports whether the stream is one that the filter is for.
func (f Filter) Pass(info *sdk.StreamInfo, request, response, trailers *sdk.Headers) bool {
	return f.filter.pass(info, request, response, trailers)
}

func compileFilter(c sdk.Compiler, pb *accesslogv3.AccessLogFilter, o CompileOptions) (filter, error) {
	switch f := pb.GetFilterSpecifier().(type) {
	case *accesslogv3.AccessLogFilter_StatusCodeFilter:
		return compileComparison(f.StatusCodeFilter.GetComparison(), o, responseCode), nil
	case *accesslogv3.AccessLogFilter_DurationFilter:
		return compileComparison(f.DurationFilter.GetComparison(), o, durationMs), nil
	case *accesslogv3.AccessLogFilter_NotHealthCheckFilter:
		return notHealthCheck{}, nil
	case *accesslogv3.AccessLogFilter_TraceableFilter:
		return traceable{}, nil
	case *accesslogv3.AccessLogFilter_RuntimeFilter:
		return &share{runtime.CompilePercent(f.RuntimeFilter.GetRuntimeKey(), f.RuntimeFilter.GetPercentSampled()), o.Runtime,
			f.RuntimeFilter.GetUseIndependentRandomness()}, nil
	case *accesslogv3.AccessLogFilter_AndFilter:
		return compileGroup(c.At("and_filter"), f.AndFilter.GetFilters(), o, true)
	case *accesslogv3.AccessLogFilter_OrFilter:
		return compileGroup(c.At("or_filter"), f.OrFilter.GetFilters(), o, false)
	case *accesslogv3.AccessLogFilter_HeaderFilter:
		m, err := match.CompileHeader(c.At("header_filter.header"), f.HeaderFilter.GetHeader())
		return &header{m}, err
	case *accesslogv3.AccessLogFilter_ResponseFlagFilter:
		return compileFlags(c.At("response_flag_filter"), f.ResponseFlagFilter.GetFlags())
	case *accesslogv3.AccessLogFilter_GrpcStatusFilter:
		return compileGRPC(f.GrpcStatusFilter), nil
	case *accesslogv3.AccessLogFilter_MetadataFilter:
		return compileMetadata(c.At("metadata_filter"), f.MetadataFilter)
	case *accesslogv3.AccessLogFilter_LogTypeFilter:
		return compileType(f.LogTypeFilter), nil
	case *accesslogv3.AccessLogFilter_ExtensionFilter:
		return compileExtension(c.At("extension_filter"), f.ExtensionFilter)
	case nil:
		return nil, c.Errorf("no filter is given")
	default:
		return nil, c.Errorf("%T is not supported yet", f)
	}
}

// comparison compares a number of the stream with a constant.
type comparison struct {
	op      accesslogv3.ComparisonFilter_Op
	value   uint64
	key     string // of the runtime, for the value
	runtime *runtime.Values
	of      func(*sdk.StreamInfo) uint64
}

func compileComparison(pb *accesslogv3.ComparisonFilter, o CompileOptions, of func(*sdk.StreamInfo) uint64) *comparison {
	v := pb.GetValue()
	return &comparison{pb.GetOp(), uint64(v.GetDefaultValue()), v.GetRuntimeKey(), o.Runtime, of}
}

func responseCode(info *sdk.StreamInfo) uint64 { return uint64(info.ResponseCode) }

func durationMs(info *sdk.StreamInfo) uint64 {
	return uint64(max(0, cmp.Or(info.End, info.Logged)-info.Start)) / 1e6
}

func (f *comparison) pass(info *sdk.StreamInfo, _, _, _ *sdk.Headers) bool {
	n, value := f.of(info), f.runtime.Uint(f.key, f.value)
	switch f.op {
	case accesslogv3.ComparisonFilter_GE:
		return n >= value
	case accesslogv3.ComparisonFilter_LE:
		return n <= value
	case accesslogv3.ComparisonFilter_NE:
		return n != value
	}
	return n == value
}

// notHealthCheck drops what the health check filter has answered.
type notHealthCheck struct{}

func (notHealthCheck) pass(info *sdk.StreamInfo, _, _, _ *sdk.Headers) bool { return !info.HealthCheck }

// share logs a share of the streams: by the request's id, so that all proxies on its
// way choose alike, or by chance.
type share struct {
	fraction    runtime.Fraction
	runtime     *runtime.Values
	independent bool
}

func (f *share) pass(_ *sdk.StreamInfo, request, _, _ *sdk.Headers) bool {
	if !f.independent {
		if n, ok := stable(request.ID(sdk.HeaderRequestID)); ok {
			return f.fraction.Enabled(f.runtime, n)
		}
	}
	return f.fraction.Enabled(f.runtime, rand.Uint64())
}

// stable is the number that Envoy draws from a request id: the first eight of its
// hex digits.
func stable(id string) (uint64, bool) {
	if len(id) < 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(id[:8], 16, 64)
	return n, err == nil
}

// group is several filters: all must pass, or one.
type group struct {
	filters []filter
	all     bool
}

func compileGroup(c sdk.Compiler, pbs []*accesslogv3.AccessLogFilter, o CompileOptions, all bool) (filter, error) {
	g := &group{all: all}
	for i, pb := range pbs {
		f, err := compileFilter(c.At("filters["+strconv.Itoa(i)+"]"), pb, o)
		if err != nil {
			return nil, err
		}
		g.filters = append(g.filters, f)
	}
	return g, nil
}

func (g *group) pass(info *sdk.StreamInfo, request, response, trailers *sdk.Headers) bool {
	for _, f := range g.filters {
		if f.pass(info, request, response, trailers) != g.all {
			return !g.all
		}
	}
	return g.all
}

// header looks at a request header.
type header struct{ matcher match.Header }

func (f *header) pass(_ *sdk.StreamInfo, request, _, _ *sdk.Headers) bool {
	return f.matcher.Match(request)
}

// flags wants one of some response flags.
type flags struct{ any sdk.ResponseFlag }

func compileFlags(c sdk.Compiler, names []string) (filter, error) {
	if len(names) == 0 {
		return flags{^sdk.ResponseFlag(0)}, nil
	}
	var f flags
	for i, name := range names {
		flag, ok := sdk.ParseResponseFlag(name)
		if !ok {
			return nil, c.At("flags["+strconv.Itoa(i)+"]").Errorf("%q is not a response flag", name)
		}
		f.any |= flag
	}
	return f, nil
}

func (f flags) pass(info *sdk.StreamInfo, _, _, _ *sdk.Headers) bool { return info.Flags&f.any != 0 }
