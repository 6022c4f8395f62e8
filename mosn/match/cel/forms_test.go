package cel

import (
	"testing"

	xdscelv3 "github.com/cncf/xds/go/xds/type/v3"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestForms: an expression in each of the forms that a CelMatcher may have it in; the newer
// ones win.
func TestForms(t *testing.T) {
	for _, pb := range []*xdscelv3.CelExpression{
		sdktest.Text[xdscelv3.CelExpression](t, `parsed_expr { expr { const_expr { bool_value: true } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `checked_expr { expr { const_expr { bool_value: true } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_parsed { expr { const_expr { bool_value: true } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_checked { expr { const_expr { bool_value: true } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_parsed { expr { const_expr { bool_value: true } } } parsed_expr { expr { const_expr { bool_value: false } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_parsed { expr { call_expr { function: "@in" args { const_expr { bytes_value: "a" } } args { list_expr { elements { const_expr { bytes_value: "a" } } } } } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_parsed { expr { call_expr { function: "_[_]" args { struct_expr { entries { map_key { const_expr { uint64_value: 1 } } value { const_expr { bool_value: true } } } } } args { const_expr { uint64_value: 1 } } } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_parsed { expr { call_expr { function: "_==_" args { const_expr { null_value: NULL_VALUE } } args { const_expr { null_value: NULL_VALUE } } } } }`),
		sdktest.Text[xdscelv3.CelExpression](t, `cel_expr_parsed { expr { call_expr { function: "_<_" args { const_expr { double_value: 1.5 } } args { const_expr { double_value: 2 } } } } }`),
	} {
		p, err := CompileExpression(sdktest.NewCompiler(t), pb)
		if err != nil || !p.Match(sample()) {
			t.Errorf("%v: %v", pb, err)
		}
	}
	for _, pb := range []*xdscelv3.CelExpression{nil, {}, {CelExprString: "true"}} {
		if _, err := CompileExpression(sdktest.NewCompiler(t), pb); err == nil {
			t.Errorf("%v is an expression", pb)
		}
	}
	for _, pb := range []*exprpb.Expr{
		sdktest.Text[exprpb.Expr](t, `call_expr { function: "_==_" args { const_expr { double_value: 1.5 } } args { const_expr { double_value: 1.5 } } }`),
		sdktest.Text[exprpb.Expr](t, `call_expr { function: "_==_" args { const_expr { uint64_value: 1 } } args { const_expr { uint64_value: 1 } } }`),
		sdktest.Text[exprpb.Expr](t, `call_expr { function: "_==_" args { const_expr { null_value: NULL_VALUE } } args { const_expr { null_value: NULL_VALUE } } }`),
	} {
		if p, err := CompileExpr(sdktest.NewCompiler(t), pb, nil); err != nil || !p.Match(sample()) {
			t.Errorf("%v: %v", pb, err)
		}
	}
}
