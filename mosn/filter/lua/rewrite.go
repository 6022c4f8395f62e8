package lua

import "github.com/yuin/gopher-lua/ast"

// A script waits by yielding its coroutine, also inside the iterator of a generic for
// (for chunk in handle:bodyChunks() do). The interpreter calls iterators by a frame of
// its own, through which nothing can yield. So such loops are rewritten, before they are
// compiled, into what the manual of Lua 5.1 (2.4.5) says that they mean:
//
//	do
//	  local f, s, v = explist
//	  while true do
//	    local names = f(s, v)
//	    if name1 == nil then break end
//	    v = name1
//	    block
//	  end
//	end

// Nor can something yield that was called in place of its caller (return handle:body()):
// the interpreter has forgotten to where it should return. So a call that is returned
// goes through a function that returns what it is given. Recursion by such calls
// therefore has an end.

// The hidden names cannot be those of a script.
const (
	forIterator = "(for iterator)"
	forState    = "(for state)"
	forControl  = "(for control)"
	values      = "(values)"
)

func rewriteBlock(stmts []ast.Stmt) {
	for i, s := range stmts {
		stmts[i] = rewriteStmt(s)
	}
}

func rewriteStmt(s ast.Stmt) ast.Stmt {
	switch s := s.(type) {
	case *ast.AssignStmt:
		rewriteExprs(s.Lhs)
		rewriteExprs(s.Rhs)
	case *ast.LocalAssignStmt:
		rewriteExprs(s.Exprs)
	case *ast.FuncCallStmt:
		rewriteExpr(s.Expr)
	case *ast.DoBlockStmt:
		rewriteBlock(s.Stmts)
	case *ast.WhileStmt:
		rewriteExpr(s.Condition)
		rewriteBlock(s.Stmts)
	case *ast.RepeatStmt:
		rewriteExpr(s.Condition)
		rewriteBlock(s.Stmts)
	case *ast.IfStmt:
		rewriteExpr(s.Condition)
		rewriteBlock(s.Then)
		rewriteBlock(s.Else)
	case *ast.NumberForStmt:
		rewriteExprs([]ast.Expr{s.Init, s.Limit, s.Step})
		rewriteBlock(s.Stmts)
	case *ast.FuncDefStmt:
		rewriteExpr(s.Func)
	case *ast.ReturnStmt:
		rewriteExprs(s.Exprs)
		if call, ok := lone(s.Exprs); ok && !call.AdjustRet {
			line := s.Line()
			s.Exprs = []ast.Expr{exprAt(&ast.FuncCallExpr{Func: exprAt(&ast.IdentExpr{Value: values}, line), Args: s.Exprs}, line)}
		}
	case *ast.GenericForStmt:
		rewriteExprs(s.Exprs)
		rewriteBlock(s.Stmts)
		return plainLoop(s)
	}
	return s
}

// lone returns the call that a return consists of.
func lone(list []ast.Expr) (*ast.FuncCallExpr, bool) {
	if len(list) != 1 {
		return nil, false
	}
	call, ok := list[0].(*ast.FuncCallExpr)
	return call, ok
}

func rewriteExprs(list []ast.Expr) {
	for _, e := range list {
		rewriteExpr(e)
	}
}

func rewriteExpr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		rewriteExprs([]ast.Expr{e.Object, e.Key})
	case *ast.TableExpr:
		for _, f := range e.Fields {
			rewriteExprs([]ast.Expr{f.Key, f.Value})
		}
	case *ast.FuncCallExpr:
		rewriteExprs([]ast.Expr{e.Func, e.Receiver})
		rewriteExprs(e.Args)
	case *ast.LogicalOpExpr:
		rewriteExprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.RelationalOpExpr:
		rewriteExprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.StringConcatOpExpr:
		rewriteExprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.ArithmeticOpExpr:
		rewriteExprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.UnaryMinusOpExpr:
		rewriteExpr(e.Expr)
	case *ast.UnaryNotOpExpr:
		rewriteExpr(e.Expr)
	case *ast.UnaryLenOpExpr:
		rewriteExpr(e.Expr)
	case *ast.FunctionExpr:
		rewriteBlock(e.Stmts)
	}
}

func plainLoop(s *ast.GenericForStmt) ast.Stmt {
	line := s.Line()
	name := func(n string) ast.Expr { return exprAt(&ast.IdentExpr{Value: n}, line) }
	next := exprAt(&ast.FuncCallExpr{Func: name(forIterator), Args: []ast.Expr{name(forState), name(forControl)}}, line)
	first := func() ast.Expr { return name(s.Names[0]) }
	body := append([]ast.Stmt{
		stmtAt(&ast.LocalAssignStmt{Names: s.Names, Exprs: []ast.Expr{next}}, line),
		stmtAt(&ast.IfStmt{
			Condition: exprAt(&ast.RelationalOpExpr{Operator: "==", Lhs: first(), Rhs: exprAt(&ast.NilExpr{}, line)}, line),
			Then:      []ast.Stmt{stmtAt(&ast.BreakStmt{}, line)},
		}, line),
		stmtAt(&ast.AssignStmt{Lhs: []ast.Expr{name(forControl)}, Rhs: []ast.Expr{first()}}, line),
	}, stmtAt(&ast.DoBlockStmt{Stmts: s.Stmts}, line))
	loop := stmtAt(&ast.WhileStmt{Condition: exprAt(&ast.TrueExpr{}, line), Stmts: body}, line)
	loop.SetLastLine(s.LastLine())
	return stmtAt(&ast.DoBlockStmt{Stmts: []ast.Stmt{
		stmtAt(&ast.LocalAssignStmt{Names: []string{forIterator, forState, forControl}, Exprs: s.Exprs}, line), loop,
	}}, line)
}

func exprAt(e ast.Expr, line int) ast.Expr { e.SetLine(line); e.SetLastLine(line); return e }
func stmtAt(s ast.Stmt, line int) ast.Stmt { s.SetLine(line); s.SetLastLine(line); return s }
