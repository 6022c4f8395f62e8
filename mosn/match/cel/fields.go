package cel

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages that this package compiles.
func Fields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.core.v3.CelExpressionConfig",
			fields.Supported("enable_string_conversion", "enable_string_concat", "enable_string_functions")),
		fields.Message("envoy.extensions.formatter.cel.v3.Cel", fields.Supported("cel_config")),
		fields.Message("xds.type.matcher.v3.CelMatcher", fields.Supported("expr_match"), fields.NoEffect("description")),
		fields.Message("xds.type.v3.CelExpression",
			fields.Supported("parsed_expr", "checked_expr", "cel_expr_parsed", "cel_expr_checked"),
			fields.Refused("cel_expr_string")), // Envoy does not read it
		expressions("google.api.expr.v1alpha1."), expressions("cel.expr."))
}

// expressions are the messages of an expression, which there are twice under different
// packages. Numbers of expressions, types and positions in the source are made anew.
func expressions(p string) sdk.FieldStatus {
	const e = "Expr"
	return fields.Join(
		fields.Message(p+"ParsedExpr", fields.Supported("expr"), fields.NoEffect("source_info")),
		fields.Message(p+"CheckedExpr", fields.Supported("expr"), fields.NoEffect("reference_map", "type_map", "source_info", "expr_version")),
		fields.Message(p+e,
			fields.Supported("const_expr", "ident_expr", "select_expr", "call_expr", "list_expr", "struct_expr"),
			fields.NoEffect("id"), fields.Refused("comprehension_expr")), // as in Envoy
		fields.Message(p+e+".Ident", fields.Supported("name")),
		fields.Message(p+e+".Select", fields.Supported("operand", "field", "test_only")),
		fields.Message(p+e+".Call", fields.Supported("target", "function", "args")),
		fields.Message(p+e+".CreateList", fields.Supported("elements"), fields.Refused("optional_indices")),
		fields.Message(p+e+".CreateStruct", fields.Supported("entries"), fields.Refused("message_name")),
		fields.Message(p+e+".CreateStruct.Entry",
			fields.Supported("map_key", "value"), fields.NoEffect("id"), fields.Refused("field_key", "optional_entry")),
		fields.Message(p+"Constant",
			fields.Supported("null_value", "bool_value", "int64_value", "uint64_value", "double_value", "string_value", "bytes_value"),
			fields.Refused("duration_value", "timestamp_value"))) // which no parser makes any more
}
