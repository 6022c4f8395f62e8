package lua

import (
	"errors"
	"math"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// maxRepeat bounds what string.rep and string.gsub make, in bytes.
const maxRepeat = 16 << 20

// openLibraries opens what scripts may use: base, string, table, math, coroutine, and of
// os the clock. Nothing of it reads a file, runs a program, or waits.
func openLibraries(l *lua.LState) {
	for _, lib := range []lua.LGFunction{lua.OpenBase, lua.OpenString, lua.OpenTable, lua.OpenMath, lua.OpenCoroutine} {
		l.Push(l.NewFunction(lib))
		l.Call(0, 0)
	}
	for _, name := range []string{"dofile", "loadfile", "require", "module", "_printregs", "newproxy", "collectgarbage", "print"} {
		l.SetGlobal(name, lua.LNil)
	}
	os := l.NewTable()
	begun := time.Now()
	l.SetField(os, "clock", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LNumber(time.Since(begun).Seconds()))
		return 1
	}))
	l.SetField(os, "time", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LNumber(time.Now().Unix()))
		return 1
	}))
	l.SetGlobal("os", os)
	text := l.GetGlobal("string").(*lua.LTable)
	rep := text.RawGetString("rep").(*lua.LFunction)
	l.SetField(text, "rep", l.NewFunction(func(l *lua.LState) int {
		if n := float64(l.CheckInt(2)) * float64(len(l.CheckString(1))); n > maxRepeat {
			l.RaiseError("the result of string.rep would have %.0f bytes", n)
		}
		return rep.GFunction(l)
	}))
	openPatterns(l, text)
	l.SetGlobal("loadstring", l.NewFunction(loadString))
	l.SetGlobal("load", l.NewFunction(load))
	l.SetGlobal("pairs", l.NewClosure(pairs, l.GetGlobal("pairs")))
	coroutines(l)
}

// maxLoaded is the longest text that a script may compile, in bytes.
const maxLoaded = 64 << 10

// loadString compiles a text as scripts are compiled.
func loadString(l *lua.LState) int {
	text := l.CheckString(1)
	return loadText(l, text, l.OptString(2, chunkName(text)))
}

// load is loadString for a text that a function gives in pieces.
func load(l *lua.LState) int {
	f := l.CheckFunction(1)
	text := ""
	for len(text) <= maxLoaded {
		l.Push(f)
		l.Call(0, 1)
		piece, _ := l.Get(-1).(lua.LString)
		l.Pop(1)
		if piece == "" {
			break
		}
		text += string(piece)
	}
	return loadText(l, text, l.OptString(2, "=(load)"))
}

func loadText(l *lua.LState, text, name string) int {
	proto, err := (*lua.FunctionProto)(nil), errTooLarge
	if len(text) <= maxLoaded {
		proto, err = compileChunk(text, name)
	}
	if err != nil {
		l.Push(lua.LNil)
		l.Push(lua.LString(err.Error()))
		return 2
	}
	l.Push(l.NewFunctionFromProto(proto))
	return 1
}

var errTooLarge = errors.New("the text is too large to be compiled")

// pairs is that of Lua 5.2: an object may say itself what is in it.
func pairs(l *lua.LState) int {
	v := l.CheckAny(1)
	f := l.Get(lua.UpvalueIndex(1))
	if own := l.GetMetaField(v, "__pairs"); own != lua.LNil {
		f = own
	}
	l.Push(f)
	l.Push(v)
	l.Call(1, 3)
	return 3
}

// coroutines makes the coroutines of scripts count their steps with those of whom they
// are run by, and makes pcall and xpcall of coroutines: nothing can yield through the
// interpreter's own.
func coroutines(l *lua.LState) {
	table := l.GetGlobal("coroutine").(*lua.LTable)
	create := table.RawGetString("create").(*lua.LFunction)
	l.SetField(table, "create", l.NewFunction(func(l *lua.LState) int {
		n := create.GFunction(l)
		if ctx := l.Context(); ctx != nil {
			l.Get(-1).(*lua.LState).SetContext(ctx) // the one that was derived does not count
		}
		return n
	}))
	if err := l.DoString(prelude); err != nil {
		panic(err) // it is ours
	}
}

const prelude = `
_G["` + values + `"] = function(...) return ... end
local create, resume, status, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield
local error, select, type = error, select, type

function coroutine.wrap(f)
	local co = create(f)
	local function check(ok, ...)
		if not ok then error(..., 0) end
		return ...
	end
	return function(...) return check(resume(co, ...)) end
end

local function step(co, handler, ok, ...)
	while ok and status(co) ~= "dead" do
		return step(co, handler, resume(co, yield(...)))
	end
	if not ok and handler then return false, handler(...) end
	return ok, ...
end

local function protect(f, handler, ...)
	if type(f) ~= "function" then
		return step(nil, handler, false, "attempt to call a " .. type(f) .. " value")
	end
	local co = create(function(...) return f(...) end)
	return step(co, handler, resume(co, ...))
end

function pcall(f, ...) return protect(f, nil, ...) end
function xpcall(f, handler, ...) return protect(f, handler, ...) end
`

// number returns n as an integer, an error of the script when it is none.
func number(l *lua.LState, at int) int {
	n := float64(l.CheckNumber(at))
	if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		l.ArgError(at, "an integer is expected")
	}
	return int(n)
}
