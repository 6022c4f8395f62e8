package accesslog

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/sdk"
)

// compileExtension compiles the filters that are extensions.
func compileExtension(c sdk.Compiler, pb *accesslogv3.ExtensionFilter) (filter, error) {
	config, err := c.At("typed_config").Unpack(pb.GetTypedConfig())
	if err != nil {
		return nil, err
	}
	e, ok := config.(*celv3.ExpressionFilter)
	if !ok {
		return nil, c.Missing("envoy.access_loggers.extension_filters", pb.GetName(), pb.GetTypedConfig())
	}
	p, err := cel.CompileText(c.At("typed_config.expression"), e.GetExpression(), e.GetCelConfig(), cel.Condition)
	if err != nil {
		return nil, err
	}
	return expression{p}, nil
}

// expression wants a condition to hold.
type expression struct{ condition *cel.Program }

func (f expression) pass(info *sdk.StreamInfo, request, response, trailers *sdk.Headers) bool {
	return f.condition.Match(&match.Data{Info: info, Request: request, Response: response, ResponseTrailers: trailers})
}
