package sdk

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// FieldState is what we do with one field of a configuration message.
type FieldState uint8

// The states. Every field of every message that can be reached is declared; one
// that is not is Refused when it is set.
const (
	Refused   FieldState = iota // setting it is an error that names it
	Supported                   // does what Envoy does
	NoEffect                    // accepted; nothing here that it could change
	Ignored                     // accepted and ignored, as Envoy ignores it
)

// FieldStatus declares the fields of some messages: full name of the field
// ("envoy.config.route.v3.Route.name") to state.
type FieldStatus map[string]FieldState

// Compiler is what the code that turns one configuration message into a compiled
// value gets from the store. It is used off the loops, by one goroutine.
//
// Errors made by Errorf carry the resource and the path of the field; At narrows
// the path, so that a nested message is compiled by code that does not know where
// it stands.
type Compiler interface {
	// At returns the compiler for a field ("route_config"), an element
	// ("virtual_hosts[2]") or several steps joined by dots.
	At(path string) Compiler
	// Errorf makes an error that names the resource and the field.
	Errorf(format string, args ...any) error
	// Warnf reports something that is accepted but unlikely to be meant.
	Warnf(format string, args ...any)
	// Stats is the scope of the resource with Envoy's prefix.
	Stats() Scope
	// Unpack decodes an Any into a new message of its own type, checks it against the
	// declared fields and the message's own validation rules (PGV).
	Unpack(a *anypb.Any) (proto.Message, error)
	// HTTPFilter finds a filter by the type of its configuration (or that of a route for
	// it), by name when there is none or it is a Struct. Codec finds a codec by name.
	HTTPFilter(name string, config *anypb.Any) (*HTTPFilter, error)
	Codec(name string) (*Codec, error)
	AccessLog(name string, a *anypb.Any) (AccessLogger, error)
	// Tracer compiles a tracing provider, and gives the queue for its spans, which is to be
	// closed by who asked.
	Tracer(name string, a *anypb.Any) (TraceProvider, SpanQueue, error)
	// Missing makes the error for an extension that is not here: whether Envoy has it
	// in that category ("envoy.transport_sockets.upstream"), and which name is near.
	Missing(category, name string, a *anypb.Any) error
	// LogOutput opens the file that access loggers write their lines to; all loggers
	// of one path share it. "/dev/stdout" and "/dev/stderr" are the process's own
	// streams.
	LogOutput(path string) (LogOutput, error)
	// Cluster checks that a cluster is known and records the edge; ok is false when
	// it is not, which is an error only where Envoy validates clusters.
	Cluster(name string) (ok bool)
	// Caller returns what makes calls to a cluster from goroutines, and records the edge.
	// The cluster need not be known (see Cluster): the calls tell.
	Caller(cluster string) Caller
}

// AccessLog is an access logger as an extension, exported by its package as a
// value and listed in builtin.
type AccessLog struct {
	Name    string        // Envoy's name: "envoy.access_loggers.file"
	Config  proto.Message // the type of typed_config, as an empty message
	Fields  FieldStatus
	Compile func(Compiler, proto.Message) (AccessLogger, error)
}

// AccessLogger writes a line or record when a stream has ended. Log is called on
// the loop with that index and must not block; what it keeps it copies. Headers may
// be empty, never nil.
type AccessLogger interface {
	Log(loop int, info *StreamInfo, request, response, trailers *Headers)
}

// LogOutput takes whole lines and writes them to a file soon, from a goroutine of
// its own. It is bounded: what does not fit is dropped and counted. Both methods
// are called on the loop with that index and neither blocks nor allocates once the
// scratch has grown to the size of a line.
type LogOutput interface {
	// Scratch returns the loop's empty buffer to format into.
	Scratch(loop int) []byte
	// Write copies line and keeps it as the next scratch.
	Write(loop int, line []byte)
}
