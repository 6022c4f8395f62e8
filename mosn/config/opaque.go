package config

import (
	"encoding/json"

	udpav1 "github.com/cncf/xds/go/udpa/type/v1"
	xdsv3 "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// An extension's configuration may come as a TypedStruct: the name of its type, and
// its fields as JSON (xds.type.v3.TypedStruct). When we know the type it is the same
// as that message. An extension that has no message of its own takes a Struct, and
// the type that is named is the extension's name.

const structType = "google.protobuf.Struct"

// extensionType is the type by which an extension is found: of what is in the Any, ""
// for what has no type and is found by name.
func extensionType(a *anypb.Any) string {
	typ := typeName(a.GetTypeUrl())
	if s, is, err := typedStruct(a); is && err == nil {
		typ = s.name
	}
	if typ == structType || typ == "google.protobuf.Empty" {
		return ""
	}
	return typ
}

// opaque is a TypedStruct of either kind.
type opaque struct {
	name  string
	value *structpb.Struct
}

// typedStruct decodes a TypedStruct; is says whether a is one.
func typedStruct(a *anypb.Any) (s *opaque, is bool, err error) {
	switch {
	case a.MessageIs((*xdsv3.TypedStruct)(nil)):
		m := &xdsv3.TypedStruct{}
		err = proto.Unmarshal(a.GetValue(), m)
		s = &opaque{typeName(m.GetTypeUrl()), m.GetValue()}
	case a.MessageIs((*udpav1.TypedStruct)(nil)):
		m := &udpav1.TypedStruct{}
		err = proto.Unmarshal(a.GetValue(), m)
		s = &opaque{typeName(m.GetTypeUrl()), m.GetValue()}
	default:
		return nil, false, nil
	}
	if s.value == nil {
		s.value = &structpb.Struct{}
	}
	return s, true, err
}

// message is what s stands for.
func (c compiler) message(s *opaque) (proto.Message, error) {
	if s.name == "" || s.name == structType || c.store.ext.opaque[s.name] {
		return s.value, nil
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(s.name))
	if err != nil {
		return nil, c.at("type_url").Errorf("%w", c.store.ext.missingType(s.name))
	}
	m := t.New().Interface()
	text, err := json.Marshal(s.value.AsMap())
	if err == nil {
		err = protojson.Unmarshal(text, m)
	}
	if err != nil {
		return nil, c.at("value").Errorf("is no %s: %w", s.name, err)
	}
	return m, nil
}
