// Package stderr is Envoy's access logger envoy.access_loggers.stderr: one line a stream
// to the process's stderr. It is compiled off the loops and holds nothing but an
// accesslog.Text, which the loops call.
package stderr

import (
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Logger returns the extension.
func Logger() sdk.AccessLog {
	return sdk.AccessLog{
		Name:    "envoy.access_loggers.stderr",
		Config:  &streamv3.StderrAccessLog{},
		Fields:  fields.Message("envoy.extensions.access_loggers.stream.v3.StderrAccessLog", fields.Supported("log_format")),
		Compile: compile,
	}
}

func compile(c sdk.Compiler, m proto.Message) (sdk.AccessLogger, error) {
	pb, ok := m.(*streamv3.StderrAccessLog)
	if !ok {
		return nil, c.Errorf("%T is not the configuration of a stderr logger", m)
	}
	f, err := accesslog.Format(c, pb.GetLogFormat())
	if err != nil {
		return nil, err
	}
	return accesslog.NewText(c, "/dev/stderr", f)
}
