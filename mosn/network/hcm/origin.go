package hcm

import (
	"fmt"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	customv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/custom_header/v3"
	xffv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/xff/v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// requestFields declares the messages of the extensions that work on a request before
// any filter does.
func requestFields() sdk.FieldStatus {
	const p = "envoy.extensions.http."
	return fields.Join(
		fields.Message(p+"early_header_mutation.header_mutation.v3.HeaderMutation", fields.Supported("mutations")),
		fields.Message(p+"original_ip_detection.custom_header.v3.CustomHeaderConfig",
			fields.Supported("header_name", "allow_extension_to_set_address_as_trusted", "reject_with_status")),
		fields.Message(p+"original_ip_detection.xff.v3.XffConfig",
			fields.Supported("xff_num_trusted_hops", "xff_trusted_cidrs", "skip_xff_append")),
		fields.Message(p+"original_ip_detection.xff.v3.XffTrustedCidrs", fields.Supported("cidrs")),
		fields.Message("envoy.type.v3.HttpStatus", fields.Supported("code")),
		edit.Fields(),
	)
}

// compileOrigins compiles original_ip_detection_extensions.
func compileOrigins(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	list := pb.GetOriginalIpDetectionExtensions()
	switch at := c.At("original_ip_detection_extensions"); {
	case len(list) == 0:
		return nil
	case pb.GetUseRemoteAddress().GetValue():
		return at.Errorf("cannot be used together with use_remote_address")
	case pb.GetXffNumTrustedHops() > 0:
		return at.Errorf("cannot be used together with xff_num_trusted_hops")
	}
	for i, e := range list {
		at := c.At(fmt.Sprintf("original_ip_detection_extensions[%d]", i))
		m, err := at.At("typed_config").Unpack(e.GetTypedConfig())
		if err != nil {
			return err
		}
		var o stream.Origin
		switch pb := m.(type) {
		case *xffv3.XffConfig:
			o, err = compileXFF(at.At("typed_config"), pb)
		case *customv3.CustomHeaderConfig:
			o = compileCustomHeader(pb)
		default:
			err = at.Missing("envoy.http.original_ip_detection", e.GetName(), e.GetTypedConfig())
		}
		if err != nil {
			return err
		}
		cfg.Origins = append(cfg.Origins, o)
	}
	return nil
}

func compileXFF(c sdk.Compiler, pb *xffv3.XffConfig) (stream.Origin, error) {
	o := stream.Origin{Hops: pb.GetXffNumTrustedHops(), Append: pb.GetSkipXffAppend() != nil && !pb.GetSkipXffAppend().GetValue()}
	trusted := pb.GetXffTrustedCidrs()
	if trusted != nil && o.Hops > 0 {
		return o, c.At("xff_trusted_cidrs").Errorf("cannot be used together with xff_num_trusted_hops")
	}
	for i, r := range trusted.GetCidrs() {
		p, err := prefix(r)
		if err != nil {
			return o, c.At(fmt.Sprintf("xff_trusted_cidrs.cidrs[%d]", i)).Errorf("%v", err)
		}
		o.Trusted = append(o.Trusted, p)
	}
	return o, nil
}

func compileCustomHeader(pb *customv3.CustomHeaderConfig) stream.Origin {
	o := stream.Origin{Header: match.HeaderName(pb.GetHeaderName()), Internal: pb.GetAllowExtensionToSetAddressAsTrusted()}
	if pb.GetRejectWithStatus() != nil {
		if o.Reject = int(pb.GetRejectWithStatus().GetCode()); o.Reject < 400 || o.Reject > 511 {
			o.Reject = 403
		}
	}
	return o
}

// compileEarly compiles early_header_mutation_extensions: one list, as each follows the
// other.
func compileEarly(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	for i, e := range pb.GetEarlyHeaderMutationExtensions() {
		at := c.At(fmt.Sprintf("early_header_mutation_extensions[%d]", i))
		m, err := at.At("typed_config").Unpack(e.GetTypedConfig())
		if err != nil {
			return err
		}
		mutation, ok := m.(*earlyv3.HeaderMutation)
		if !ok {
			return at.Missing("envoy.http.early_header_mutation", e.GetName(), e.GetTypedConfig())
		}
		list, err := edit.CompileMutations(at.At("typed_config"), "mutations", mutation.GetMutations())
		if err != nil {
			return err
		}
		cfg.Early = append(cfg.Early, list...)
	}
	return nil
}
