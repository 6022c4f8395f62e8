package edit

//lint:file-ignore SA1019 Envoy still reads these fields, so we do

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Option is a compiled envoy.config.core.v3.HeaderValueOption: a header to set, and
// when.
type Option struct {
	Value Value

	name   string
	action corev3.HeaderValueOption_HeaderAppendAction
	empty  bool // keep_empty_value
}

// Editable reports whether configuration may set a header: pseudo headers and the
// host have rewrites of their own.
func Editable(name string) bool {
	return !strings.HasPrefix(name, ":") && !strings.EqualFold(name, "host")
}

// CompileOption compiles one option; c stands at it.
func CompileOption(c sdk.Compiler, pb *corev3.HeaderValueOption) (Option, error) {
	o := Option{
		name:   match.HeaderName(pb.GetHeader().GetKey()),
		action: pb.GetAppendAction(),
		empty:  pb.GetKeepEmptyValue(),
	}
	if !Editable(pb.GetHeader().GetKey()) {
		return o, c.At("header.key").Errorf("%q may not be modified", pb.GetHeader().GetKey())
	}
	if old := pb.GetAppend(); old != nil {
		if o.action != corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			return o, c.Errorf("only one of append and append_action may be set")
		}
		if !old.GetValue() {
			o.action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		}
	}
	field, text := "header.value", pb.GetHeader().GetValue()
	if raw := pb.GetHeader().GetRawValue(); text == "" && len(raw) > 0 {
		field, text = "header.raw_value", string(raw)
	}
	var err error
	o.Value, err = CompileValue(c.At(field), text)
	return o, err
}

// Applies reports whether the option has h changed, if its value has length n.
func (o *Option) Applies(h *sdk.Headers, n int) bool {
	if n == 0 && !o.empty {
		return false
	}
	switch o.action {
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		return !h.Has(o.name)
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		return h.Has(o.name)
	}
	return true
}

// Replaces reports whether Set removes values that are there.
func (o *Option) Replaces() bool {
	return o.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS || o.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
}

// Set replaces or adds the header; h copies value.
func (o *Option) Set(h *sdk.Headers, value string) {
	if o.Replaces() {
		h.Set(o.name, value)
	} else {
		h.Add(o.name, value)
	}
}

// apply makes the value and sets the header, if the option applies.
func (o *Option) apply(h *sdk.Headers, ctx *format.Context) {
	if o.Value.format == nil {
		if o.Applies(h, len(o.Value.text)) {
			o.Set(h, o.Value.text)
		}
		return
	}
	var room [valueRoom]byte
	value := o.Value.Append(room[:0], ctx)
	if o.Applies(h, len(value)) {
		o.Set(h, view(value))
	}
}
