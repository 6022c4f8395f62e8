// Package headermutation is envoy.filters.http.header_mutation: it changes the headers
// and trailers of requests and responses, and the parameters in the query of a path, at
// its place in the chain.
//
// A compiled filter is shared by all loops; what it keeps of a stream belongs to that
// stream's loop. For RPC, headers are what its codec shows as such (Bolt: the entries of
// its header map, which are sent on as changed); a service and method have no query, so
// parameters are left alone there.
package headermutation

import (
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const pkg = "envoy.extensions.filters.http.header_mutation.v3."
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.header_mutation",
		Config: &mutationv3.HeaderMutation{},
		Route:  &mutationv3.HeaderMutationPerRoute{},
		Fields: fields.Join(
			fields.Message(pkg+"HeaderMutation", fields.Supported("mutations", "most_specific_header_mutations_wins")),
			fields.Message(pkg+"HeaderMutationPerRoute", fields.Supported("mutations")),
			fields.Message(pkg+"Mutations",
				fields.Supported("request_mutations", "query_parameter_mutations", "response_mutations",
					"response_trailers_mutations", "request_trailers_mutations"),
				fields.Refused("formatters")),
			queryFields(), edit.Fields(),
		),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			pb := m.(*mutationv3.HeaderMutation)
			own, err := compile(c.At("mutations"), pb.GetMutations())
			return &filter{own: own, outerFirst: pb.GetMostSpecificHeaderMutationsWins()}, err
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			l, err := compile(c.At("mutations"), m.(*mutationv3.HeaderMutationPerRoute).GetMutations())
			return levels{l}, err
		},
		Merge: func(outer, inner sdk.RouteConfig) sdk.RouteConfig {
			return append(slices.Clone(outer.(levels)), inner.(levels)...)
		},
	}
}

// level is what one message asks for.
type level struct {
	request, response                 edit.Mutations
	requestTrailers, responseTrailers edit.Mutations
	query                             queryMutations
}

// levels are those of a route, the outermost first: all of them count.
type levels []*level

func compile(c sdk.Compiler, pb *mutationv3.Mutations) (*level, error) {
	l := &level{}
	var err error
	if l.request, err = edit.CompileMutations(c, "request_mutations", pb.GetRequestMutations()); err != nil {
		return nil, err
	}
	if l.response, err = edit.CompileMutations(c, "response_mutations", pb.GetResponseMutations()); err != nil {
		return nil, err
	}
	if l.requestTrailers, err = edit.CompileMutations(c, "request_trailers_mutations", pb.GetRequestTrailersMutations()); err != nil {
		return nil, err
	}
	if l.responseTrailers, err = edit.CompileMutations(c, "response_trailers_mutations", pb.GetResponseTrailersMutations()); err != nil {
		return nil, err
	}
	l.query, err = compileQuery(c, pb.GetQueryParameterMutations())
	return l, err
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	own        *level
	outerFirst bool // most_specific_header_mutations_wins: inner levels have the last word
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// chosen is what is kept of a stream: the levels of the route that it had first, which
// count for the response too.
type chosen struct {
	known  bool
	levels levels
}

func routeLevels(s sdk.Stream) levels {
	c := sdk.State[chosen](s)
	if !c.known {
		c.known = true
		c.levels, _ = s.RouteConfig().(levels)
	}
	return c.levels
}

// place is one of the four heads and trailers.
type place uint8

const (
	request place = iota
	requestTrailers
	response
	responseTrailers
)

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action { return f.apply(s, request) }

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(s sdk.Stream) sdk.Action { return f.apply(s, requestTrailers) }

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action { return f.apply(s, response) }

// OnResponseTrailers implements sdk.Filter.
func (f *filter) OnResponseTrailers(s sdk.Stream) sdk.Action { return f.apply(s, responseTrailers) }

func (f *filter) apply(s sdk.Stream, p place) sdk.Action {
	ctx := format.Context{Info: s.Info(), Request: s.Request()}
	if p >= response {
		ctx.Response = s.Response()
	}
	if p == responseTrailers {
		ctx.Trailers = s.ResponseTrailers()
	}
	f.own.apply(s, p, &ctx)
	list := routeLevels(s)
	for i := range list {
		if !f.outerFirst {
			i = len(list) - 1 - i
		}
		list[i].apply(s, p, &ctx)
	}
	return sdk.Continue
}

func (l *level) apply(s sdk.Stream, p place, ctx *format.Context) {
	switch p {
	case request:
		l.request.Apply(s.Request(), ctx)
		if len(l.query) > 0 && s.Info().Protocol != sdk.RPC {
			l.query.apply(s.Request(), ctx)
		}
	case requestTrailers:
		l.requestTrailers.Apply(s.RequestTrailers(), ctx)
	case response:
		l.response.Apply(s.Response(), ctx)
	case responseTrailers:
		l.responseTrailers.Apply(s.ResponseTrailers(), ctx)
	}
}
