package route

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/mosn/trace"
)

// TestFieldsAreComplete walks all messages that a route configuration leads to.
func TestFieldsAreComplete(t *testing.T) {
	table, err := fields.Merge(Fields(), match.Fields(), descriptor.Fields(), edit.Fields(), format.Fields(), trace.Fields())
	if err != nil {
		t.Fatal(err)
	}
	roots := []protoreflect.MessageDescriptor{(&routev3.RouteConfiguration{}).ProtoReflect().Descriptor(), (&routev3.FilterConfig{}).ProtoReflect().Descriptor()}
	if missing := table.Undeclared(roots...); len(missing) > 0 {
		t.Errorf("fields without a status: %q", missing)
	}
	own, err := fields.Merge(Fields(), match.Fields(), descriptor.Fields())
	if err != nil {
		t.Fatal(err)
	}
	if extra := own.Unknown(roots...); len(extra) > 0 {
		t.Errorf("no such fields: %q", extra)
	}
}
