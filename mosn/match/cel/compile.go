package cel

//lint:file-ignore SA1019 Envoy still reads these fields, so we do

import (
	"math"
	"strings"

	celpb "cel.dev/expr"
	xdscelv3 "github.com/cncf/xds/go/xds/type/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
)

// The bounds of an expression.
const (
	maxNodes = 4096
	maxDepth = 200 // also of what is read from text
	// maxSize is how long a value is taken to be when the cost is estimated: no text of a
	// message is longer than its head, whose limit is 60 KiB unless configured.
	maxSize = 64 << 10
	// maxCost is in the language's own units: about ten bytes looked at each.
	maxCost = 4_000_000
)

// Program is a compiled expression.
type Program struct {
	program    cel.Program
	attributes map[string]attribute
}

// Want is what an expression is to give.
type Want uint8

// What expressions give.
const (
	Condition Want = iota // true or false
	Anything
)

// Place is where an expression stands: an sdk.Compiler, or what makes its errors. If it
// has a method
//
//	Node() *corev3.Node
//
// that is what xds.node is.
type Place interface {
	Errorf(format string, args ...any) error
}

// CompileText compiles an expression as it is written; c stands at its field. config may
// be nil. Only here xds.node is known, as in Envoy.
func CompileText(c Place, text string, config *corev3.CelExpressionConfig, want Want) (*Program, error) {
	var node *corev3.Node
	if h, ok := c.(interface{ Node() *corev3.Node }); ok {
		node = h.Node()
	}
	e, err := newCompiler(c, config, node)
	if err != nil {
		return nil, err
	}
	parsed, issues := e.env.Parse(text)
	if issues.Err() != nil {
		return nil, e.fault(issues)
	}
	return e.compile(parsed, want)
}

// CompileExpr compiles an expression that was parsed before: Envoy's condition.
func CompileExpr(c Place, pb *exprpb.Expr, config *corev3.CelExpressionConfig) (*Program, error) {
	e, err := newCompiler(c, config, nil)
	if err != nil {
		return nil, err
	}
	if _, err := ast.ProtoToExpr(pb); err != nil {
		return nil, c.Errorf("%w", err)
	}
	parsed := cel.ParsedExprToAst(&exprpb.ParsedExpr{Expr: pb})
	// Types are found by the numbers of expressions, and whoever writes them by hand gives
	// none.
	var last int64
	parsed.NativeRep().Expr().RenumberIDs(func(int64) int64 { last++; return last })
	return e.compile(parsed, Condition)
}

// CompileExpression compiles the expression of a CelMatcher; c stands at expr_match. What
// is checked already is checked again.
func CompileExpression(c sdk.Compiler, pb *xdscelv3.CelExpression) (*Program, error) {
	for _, form := range []struct {
		field string
		expr  proto.Message
	}{
		{"cel_expr_checked", pb.GetCelExprChecked().GetExpr()}, {"cel_expr_parsed", pb.GetCelExprParsed().GetExpr()},
		{"checked_expr", pb.GetCheckedExpr().GetExpr()}, {"parsed_expr", pb.GetParsedExpr().GetExpr()},
	} {
		switch expr := form.expr.(type) {
		case *celpb.Expr:
			if expr != nil {
				old, err := older(expr)
				if err != nil {
					return nil, c.At(form.field).Errorf("%w", err)
				}
				return CompileExpr(c.At(form.field), old, nil)
			}
		case *exprpb.Expr:
			if expr != nil {
				return CompileExpr(c.At(form.field), expr, nil)
			}
		}
	}
	if pb.GetCelExprString() != "" {
		return nil, c.At("cel_expr_string").Errorf("is not read by Envoy; give a parsed or checked expression")
	}
	return nil, c.Errorf("no expression is given")
}

// older returns the same expression in the older package of the same messages.
func older(e *celpb.Expr) (*exprpb.Expr, error) {
	b, err := proto.Marshal(e)
	if err != nil {
		return nil, err
	}
	out := &exprpb.Expr{}
	return out, proto.Unmarshal(b, out)
}

type compiler struct {
	Place
	env        *cel.Env
	attributes map[string]attribute
}

func newCompiler(c Place, config *corev3.CelExpressionConfig, node *corev3.Node) (*compiler, error) {
	e := &compiler{Place: c, attributes: attributes(node)}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{IncludeMacros: []string{operators.Has}, ExcludeFunctions: excluded(config)})),
		cel.CrossTypeNumericComparisons(true), cel.ParserRecursionLimit(maxDepth), cel.ParserExpressionSizeLimit(16 << 10),
	}
	if config.GetEnableStringFunctions() {
		options = append(options, ext.Strings(ext.StringsVersion(3)))
	}
	groups := map[string]bool{}
	for name, a := range e.attributes {
		options = append(options, cel.Variable(name, a.typ))
		if group, _, dotted := strings.Cut(name, "."); dotted && !groups[group] {
			groups[group] = true
			options = append(options, cel.Variable(group, cel.MapType(cel.StringType, cel.DynType)))
		}
	}
	var err error
	if e.env, err = cel.NewCustomEnv(options...); err != nil {
		return nil, c.Errorf("%w", err)
	}
	return e, nil
}

// excluded are the functions of the language that Envoy leaves out, as what they give
// grows with what they are given.
func excluded(config *corev3.CelExpressionConfig) (out []*env.Function) {
	add := []*env.Overload{{ID: overloads.AddList}}
	if !config.GetEnableStringConcat() {
		add = append(add, &env.Overload{ID: overloads.AddString}, &env.Overload{ID: overloads.AddBytes})
	}
	out = append(out, &env.Function{Name: operators.Add, Overloads: add})
	if !config.GetEnableStringConversion() {
		out = append(out, &env.Function{Name: overloads.TypeConvertString})
	}
	return out
}

// fault is the first of some issues.
func (e *compiler) fault(issues *cel.Issues) error {
	first := issues.Errors()[0]
	if line, column := first.Location.Line(), first.Location.Column(); line > 0 && column >= 0 {
		return e.Errorf("line %d, column %d: %s", line, column+1, first.Message)
	}
	return e.Errorf("%s", first.Message)
}

func (e *compiler) compile(parsed *cel.Ast, want Want) (p *Program, err error) {
	// The library does not expect all that a message can hold and no parser makes, such as
	// an operator without operands.
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, e.Errorf("it is malformed: %v", r)
		}
	}()
	if err := e.walk(parsed.NativeRep().Expr()); err != nil {
		return nil, err
	}
	checked, issues := e.env.Check(parsed)
	if issues.Err() != nil {
		return nil, e.fault(issues)
	}
	if t := checked.OutputType(); want == Condition && t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
		return nil, e.Errorf("a condition gives true or false, this is of type %s", t)
	}
	cost, err := e.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, e.Errorf("%w", err)
	}
	if cost.Max > maxCost {
		return nil, e.Errorf("it may take %s steps, more than the %d that are allowed", steps(cost.Max), maxCost)
	}
	program, err := e.env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, e.Errorf("%w", err)
	}
	return &Program{program, e.attributes}, nil
}

func steps(n uint64) any {
	if n == math.MaxUint64 {
		return "any number of"
	}
	return n
}

// walk refuses what is known not to work, by its name.
func (e *compiler) walk(root ast.Expr) (err error) {
	nodes := 0
	var visit func(x ast.Expr, depth int)
	all := func(xs []ast.Expr, depth int) {
		for _, x := range xs {
			visit(x, depth)
		}
	}
	visit = func(x ast.Expr, depth int) {
		if nodes++; err == nil && (nodes > maxNodes || depth > maxDepth) {
			err = e.Errorf("it has more than %d parts, or parts that are nested %d times", maxNodes, maxDepth)
		}
		if err != nil {
			return
		}
		switch depth++; x.Kind() {
		case ast.UnspecifiedExprKind:
			err = e.Errorf("a part of the expression is empty")
		case ast.ComprehensionKind:
			err = e.Errorf("comprehensions (all, exists, filter, map) are not enabled, as in Envoy")
		case ast.StructKind:
			err = e.Errorf("messages (%s) cannot be made", x.AsStruct().TypeName())
		case ast.IdentKind:
			err = e.known(x.AsIdent())
		case ast.SelectKind:
			if name, ok := dotted(x); ok {
				err = e.known(name)
				return
			}
			visit(x.AsSelect().Operand(), depth)
		case ast.ListKind:
			all(x.AsList().Elements(), depth)
		case ast.MapKind:
			for _, entry := range x.AsMap().Entries() {
				visit(entry.AsMapEntry().Key(), depth)
				visit(entry.AsMapEntry().Value(), depth)
			}
		case ast.CallKind:
			call := x.AsCall()
			if err = e.constants(call); err == nil && call.IsMemberFunction() {
				visit(call.Target(), depth)
			}
			all(call.Args(), depth)
		}
	}
	visit(root, 0)
	return err
}

// dotted returns the name that x is, if it is no more.
func dotted(x ast.Expr) (name string, ok bool) {
	switch x.Kind() {
	case ast.IdentKind:
		return x.AsIdent(), true
	case ast.SelectKind:
		name, ok = dotted(x.AsSelect().Operand())
		return name + "." + x.AsSelect().FieldName(), ok
	}
	return "", false
}

// known refuses names that are no attributes. What begins with another word than they do
// the types will tell.
func (e *compiler) known(name string) error {
	for _, other := range notBuilt() {
		if name == other || strings.HasPrefix(name, other+".") {
			return e.Errorf("the attribute %s is not built yet", other)
		}
	}
	group, _, _ := strings.Cut(name, ".")
	ours := false
	for a := range e.attributes {
		if a == name || strings.HasPrefix(a, name+".") || strings.HasPrefix(name, a+".") {
			return nil
		}
		ours = ours || strings.HasPrefix(a, group+".")
	}
	if !ours {
		return nil
	}
	return e.Errorf("there is no attribute %s", name)
}

// constants holds functions against the arguments that must stand in the configuration:
// regular expressions, and what text grows by.
func (e *compiler) constants(call ast.CallExpr) error {
	args := call.Args()
	switch call.FunctionName() {
	case overloads.Matches:
		if !call.IsMemberFunction() && len(args) == 2 {
			args = args[1:]
		}
	case "replace", "join":
	case "format":
		return e.Errorf("format is not built")
	default:
		return nil
	}
	for _, a := range args {
		if a.Kind() != ast.LiteralKind {
			return e.Errorf("the arguments of %s must be constants", call.FunctionName())
		}
	}
	return nil
}

// sizes estimates the length of values of which only the stream knows it.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Max: maxSize}
}

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
