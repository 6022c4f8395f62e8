package config

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const discoveryPackage = "envoy.service.discovery.v3"

// discovery is the messages of envoy.service.discovery.v3 that files hold. Their
// generated code stands in one package with the gRPC services, and would bring all of
// grpc-go into the proxy; what is needed of them is a few fields.
type discovery struct{ response, wrapper protoreflect.MessageType }

func newDiscovery() (discovery, error) {
	const text, flag, msg = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BOOL, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	field := func(n int32, name string, typ descriptorpb.FieldDescriptorProto_Type, of string, many bool) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &n, Type: typ.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if of != "" {
			f.TypeName = &of
		}
		if many {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		return f
	}
	message := func(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{Name: &name, Field: fields}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("mosn/config/discovery.proto"), Package: proto.String(discoveryPackage), Syntax: proto.String("proto3"),
		Dependency: []string{anypb.File_google_protobuf_any_proto.Path(), durationpb.File_google_protobuf_duration_proto.Path()},
		MessageType: []*descriptorpb.DescriptorProto{
			message("DiscoveryResponse", field(1, "version_info", text, "", false), field(2, "resources", msg, ".google.protobuf.Any", true),
				field(3, "canary", flag, "", false), field(4, "type_url", text, "", false), field(5, "nonce", text, "", false)),
			message("Resource", field(1, "version", text, "", false), field(2, "resource", msg, ".google.protobuf.Any", false),
				field(3, "name", text, "", false), field(4, "aliases", text, "", true), field(6, "ttl", msg, ".google.protobuf.Duration", false)),
		},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return discovery{}, fmt.Errorf("%s: %w", discoveryPackage, err)
	}
	return discovery{dynamicpb.NewMessageType(file.Messages().Get(0)), dynamicpb.NewMessageType(file.Messages().Get(1))}, nil
}

// The fields that are read, by what their names say.
func fieldText(m protoreflect.Message, name protoreflect.Name) string {
	return m.Get(m.Descriptor().Fields().ByName(name)).String()
}

func fieldAny(m protoreflect.Message) *anypb.Any {
	f := m.Descriptor().Fields()
	return &anypb.Any{TypeUrl: m.Get(f.ByName("type_url")).String(), Value: m.Get(f.ByName("value")).Bytes()}
}

// resources returns the Anys of a response.
func (discovery) resources(response protoreflect.Message) []*anypb.Any {
	list := response.Get(response.Descriptor().Fields().ByName("resources")).List()
	out := make([]*anypb.Any, list.Len())
	for i := range out {
		out[i] = fieldAny(list.Get(i).Message())
	}
	return out
}

// unwrap returns what is inside an envoy.service.discovery.v3.Resource, and its
// version; any other Any as it is.
func (d discovery) unwrap(a *anypb.Any) (inner *anypb.Any, version string, wrapped bool, err error) {
	if typeName(a.GetTypeUrl()) != discoveryPackage+".Resource" {
		return a, "", false, nil
	}
	m := d.wrapper.New()
	if err := proto.Unmarshal(a.GetValue(), m.Interface()); err != nil {
		return nil, "", true, err
	}
	fd := m.Descriptor().Fields().ByName("resource")
	if !m.Has(fd) {
		return nil, "", true, fmt.Errorf("the wrapped resource is missing")
	}
	return fieldAny(m.Get(fd).Message()), fieldText(m, "version"), true, nil
}

// FindMessageByName and the other methods make it a resolver of prototext: all types
// that there are, and the wrapper.
func (d discovery) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if name == discoveryPackage+".Resource" {
		return d.wrapper, nil
	}
	return protoregistry.GlobalTypes.FindMessageByName(name)
}

// FindMessageByURL implements protoregistry.MessageTypeResolver.
func (d discovery) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return d.FindMessageByName(protoreflect.FullName(typeName(url)))
}

// FindExtensionByName implements protoregistry.ExtensionTypeResolver.
func (discovery) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return protoregistry.GlobalTypes.FindExtensionByName(name)
}

// FindExtensionByNumber implements protoregistry.ExtensionTypeResolver.
func (discovery) FindExtensionByNumber(m protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return protoregistry.GlobalTypes.FindExtensionByNumber(m, n)
}
