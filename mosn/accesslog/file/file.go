// Package file is Envoy's access logger envoy.access_loggers.file: one line a stream
// into a file. It is compiled off the loops and holds nothing but an
// accesslog.Text, which the loops call.
package file

//lint:file-ignore SA1019 the deprecated forms of the format are in many configurations

import (
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// Logger returns the extension.
func Logger() sdk.AccessLog {
	return sdk.AccessLog{
		Name:   "envoy.access_loggers.file",
		Config: &filev3.FileAccessLog{},
		Fields: fields.Message("envoy.extensions.access_loggers.file.v3.FileAccessLog",
			fields.Supported("path", "format", "json_format", "typed_json_format", "log_format")),
		Compile: compile,
	}
}

func compile(c sdk.Compiler, m proto.Message) (sdk.AccessLogger, error) {
	pb, ok := m.(*filev3.FileAccessLog)
	if !ok {
		return nil, c.Errorf("%T is not the configuration of a file logger", m)
	}
	f, err := compileFormat(c, pb)
	if err != nil {
		return nil, err
	}
	return accesslog.NewText(c.At("path"), pb.GetPath(), f)
}

// compileFormat compiles the format in one of its forms; nil means the default.
func compileFormat(c sdk.Compiler, pb *filev3.FileAccessLog) (f *format.Format, err error) {
	switch kind := pb.GetAccessLogFormat().(type) {
	case *filev3.FileAccessLog_LogFormat:
		return accesslog.Format(c, kind.LogFormat)
	case *filev3.FileAccessLog_Format:
		if kind.Format == "" { // the default
			return nil, nil
		}
		c = c.At("format")
		f, err = format.Parse(kind.Format)
	case *filev3.FileAccessLog_JsonFormat: // numbers stay numbers, as in the typed one
		c = c.At("json_format")
		f, err = format.ParseJSON(kind.JsonFormat, false)
	case *filev3.FileAccessLog_TypedJsonFormat:
		c = c.At("typed_json_format")
		f, err = format.ParseJSON(kind.TypedJsonFormat, false)
	case nil:
		return nil, nil
	default:
		return nil, c.Errorf("%T is not supported", kind)
	}
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	return f, nil
}
