package lua

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// toLua makes a value of a script of v.
func toLua(l *lua.LState, v sdk.Value) lua.LValue {
	switch v.Kind() {
	case sdk.BoolValue:
		return lua.LBool(v.Bool())
	case sdk.NumberValue:
		return lua.LNumber(v.Number())
	case sdk.StringValue:
		return lua.LString(strings.Clone(v.Text()))
	case sdk.ListValue:
		t := l.NewTable()
		for i := range v.Len() {
			t.Append(toLua(l, v.At(i)))
		}
		return t
	case sdk.StructValue:
		t := l.NewTable()
		for i := range v.Len() {
			t.RawSetString(strings.Clone(v.NameAt(i)), toLua(l, v.At(i)))
		}
		return t
	}
	return lua.LNil
}

// maxDepth bounds how deep tables may stand in each other; one may hold itself.
const maxDepth = 32

// fromLua makes a value of a script's; a table whose keys are 1, 2, ... is a list.
func fromLua(l *lua.LState, v lua.LValue, depth int) sdk.Value {
	switch v := v.(type) {
	case *lua.LNilType:
		return sdk.Null()
	case lua.LBool:
		return sdk.Bool(bool(v))
	case lua.LNumber:
		return sdk.Number(float64(v))
	case lua.LString:
		return sdk.String(string(v))
	case *lua.LTable:
		if depth == maxDepth {
			l.RaiseError("tables stand in each other more than %d deep", maxDepth)
		}
		return fromTable(l, v, depth+1)
	}
	l.RaiseError("unexpected type '%s' in dynamicMetadata", v.Type())
	return sdk.Value{}
}

func fromTable(l *lua.LState, t *lua.LTable, depth int) sdk.Value {
	total := 0
	t.ForEach(func(lua.LValue, lua.LValue) { total++ })
	if n := t.Len(); n > 0 && n == total {
		list := make([]sdk.Value, n)
		for i := range list {
			list[i] = fromLua(l, t.RawGetInt(i+1), depth)
		}
		return sdk.List(list...)
	}
	var fields []sdk.Field
	t.ForEach(func(k, v lua.LValue) {
		fields = append(fields, sdk.Field{Name: k.String(), Value: fromLua(l, v, depth)})
	})
	return sdk.Struct(fields...)
}
