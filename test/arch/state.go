package arch

import (
	"fmt"
	"go/ast"
	"go/types"
)

// The rule of package-level state. A package-level var is fine when it is an
// error value, or data that nobody changes after its declaration. Refused are:
//
//   - types that exist to be changed: sync.*, sync/atomic.*, channels, also
//     inside structs and arrays; pointers, except to the immutable types below;
//   - functions computed by a call (a closure may hold state) and interfaces
//     that hold a pointer;
//   - any write, from any package of the module, tests included: assignment,
//     ++, delete, clear, copy into, & of it, slicing of an array, a
//     pointer-receiver method called on it.
//
// What the check cannot see: a write through an alias (y := x; y[0] = 1) or in
// a callee that got a slice or map. Review has to.
const whyState = "no package-level mutable state: two proxies run in one test process, and a reader need not look for who else writes"

// immutable lists pointer types that are safe to share after their making.
func immutable() map[string]bool {
	return map[string]bool{
		"*regexp.Regexp":    true,
		"*strings.Replacer": true,
	}
}

// allowed lists package-level variables that the rule would refuse, each with
// its reason. A line that no longer applies fails the check.
func allowed() map[string]string {
	return map[string]string{}
}

// declared judges a variable by its type and initial value; "" is fine.
func declared(v *types.Var, value ast.Expr, info *types.Info) string {
	t := v.Type()
	if implementsError(t) {
		return ""
	}
	if what := mutableType(t, map[types.Type]bool{}); what != "" {
		return "holds " + what
	}
	switch t.Underlying().(type) {
	case *types.Signature:
		if _, call := ast.Unparen(value).(*ast.CallExpr); call {
			return "is a function made by a call, which may hold state"
		}
	case *types.Interface:
		if value == nil {
			return "is an interface to be filled in later"
		}
		if _, ptr := info.TypeOf(value).(*types.Pointer); ptr {
			return "is an interface that holds a pointer"
		}
	}
	return ""
}

func implementsError(t types.Type) bool {
	iface := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	return types.Implements(t, iface)
}

// mutableType names the part of t that exists to be changed, or "".
func mutableType(t types.Type, seen map[types.Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	if named, ok := types.Unalias(t).(*types.Named); ok {
		if pkg := named.Obj().Pkg(); pkg != nil && (pkg.Path() == "sync" || pkg.Path() == "sync/atomic") {
			return pkg.Path() + "." + named.Obj().Name()
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Chan:
		return "a channel"
	case *types.Pointer:
		if len(seen) == 1 && !immutable()[t.String()] {
			return "a pointer (" + t.String() + ")"
		}
	case *types.Array:
		return mutableType(u.Elem(), seen)
	case *types.Struct:
		for i := range u.NumFields() {
			if what := mutableType(u.Field(i).Type(), seen); what != "" {
				return what
			}
		}
	}
	return ""
}

// written calls yield for each expression of a file that changes, or lets
// others change, a package-level variable.
func written(file *ast.File, info *types.Info, yield func(v *types.Var, at ast.Node, how string)) {
	report := func(e ast.Expr, how string) {
		if v := rootVar(e, info); v != nil {
			yield(v, e, how)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, lhs := range n.Lhs {
				report(lhs, "is assigned")
			}
		case *ast.IncDecStmt:
			report(n.X, "is assigned")
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if e != nil {
					report(e, "is assigned")
				}
			}
		case *ast.UnaryExpr:
			if n.Op.String() == "&" {
				report(n.X, "has its address taken")
			}
		case *ast.SliceExpr:
			if t := info.TypeOf(n.X); t != nil && isArray(t) {
				report(n.X, "is sliced")
			}
		case *ast.CallExpr:
			if how := changing(n, info); how != "" && len(n.Args) > 0 {
				report(n.Args[0], how)
			}
		case *ast.SelectorExpr:
			if takesPointer(n, info) {
				report(n.X, "is changed by method "+n.Sel.Name)
			}
		}
		return true
	})
}

func isArray(t types.Type) bool {
	_, ok := t.Underlying().(*types.Array)
	return ok
}

// changing says what a builtin does to its first argument, or "".
func changing(call *ast.CallExpr, info *types.Info) string {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return ""
	}
	if _, builtin := info.Uses[id].(*types.Builtin); !builtin {
		return ""
	}
	switch id.Name {
	case "delete":
		return "has an entry deleted"
	case "clear":
		return "is cleared"
	case "copy":
		return "is copied into"
	}
	return ""
}

// takesPointer reports a method selection that takes the address of its
// operand.
func takesPointer(sel *ast.SelectorExpr, info *types.Info) bool {
	s, ok := info.Selections[sel]
	if !ok || s.Kind() != types.MethodVal {
		return false
	}
	if _, already := s.Recv().Underlying().(*types.Pointer); already {
		return false
	}
	sig, ok := s.Obj().Type().(*types.Signature)
	if !ok || sig.Recv() == nil {
		return false
	}
	_, pointer := sig.Recv().Type().(*types.Pointer)
	return pointer
}

// rootVar is the package-level variable that the expression is, or is a part
// of; nil when there is none.
func rootVar(e ast.Expr, info *types.Info) *types.Var {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return packageVar(info.Uses[e])
	case *ast.SelectorExpr:
		if _, field := info.Selections[e]; field {
			return rootVar(e.X, info)
		}
		return packageVar(info.Uses[e.Sel])
	case *ast.IndexExpr:
		return rootVar(e.X, info)
	case *ast.StarExpr:
		return rootVar(e.X, info)
	case *ast.SliceExpr:
		return rootVar(e.X, info)
	}
	return nil
}

func packageVar(o types.Object) *types.Var {
	v, ok := o.(*types.Var)
	if !ok || v.IsField() || v.Pkg() == nil || v.Parent() != v.Pkg().Scope() {
		return nil
	}
	return v
}

// varName is how findings and the allow-list name a variable: import path of
// the package, dot, name.
func varName(v *types.Var) string { return fmt.Sprintf("%s.%s", v.Pkg().Path(), v.Name()) }
