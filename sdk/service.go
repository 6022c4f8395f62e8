package sdk

import (
	"io"
	"log/slog"

	"google.golang.org/protobuf/proto"
)

// BootstrapExtension is an extension of the process itself, exported by its package as
// a value and listed in builtin (envoy.config.bootstrap.v3.Bootstrap.bootstrap_extensions).
type BootstrapExtension struct {
	Name    string        // "mosn.bootstrap.holmes"
	Config  proto.Message // the type of typed_config, as an empty message
	Fields  FieldStatus
	Compile func(Compiler, proto.Message) (Service, error)
}

// Service runs beside the loops, on goroutines of its own, from Start to Close. Neither
// is called on a loop.
type Service interface {
	Start(log *slog.Logger) error
	Close()
}

// AdminService is a Service that answers a path of the admin endpoint.
type AdminService interface {
	Service
	// AdminPath is the path, and a line about it for /help.
	AdminPath() (path, help string)
	// Admin writes the answer as text. post says that the request may change something;
	// an error is answered by 400.
	Admin(out io.Writer, query map[string][]string, post bool) error
}
