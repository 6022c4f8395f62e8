package lua

import (
	lua "github.com/yuin/gopher-lua"
)

// types are the kinds of objects that scripts see, made once for each machine.
type types struct {
	handle, headers, body, info, connection, connectionInfo, metadata, dynamic, state, part, key, stats, counter, gauge, histogram objectType
}

// objectType is the metatable of a kind of objects.
type objectType struct{ table *lua.LTable }

// of makes an object.
func (t objectType) of(l *lua.LState, value any) *lua.LUserData {
	u := l.NewUserData()
	u.Value, u.Metatable = value, t.table
	return u
}

// object is what a script has a handle of. It may keep that beyond its time.
type object interface{ ended() bool }

func (r *run) ended() bool { return r.over }

// method is a method of objects of type T.
func method[T object](f func(*lua.LState, T) int) lua.LGFunction {
	return func(l *lua.LState) int {
		o, ok := l.CheckUserData(1).Value.(T)
		if !ok {
			l.ArgError(1, "an object of another kind is expected")
		}
		if o.ended() {
			l.RaiseError("object used outside of proper scope")
		}
		return f(l, o)
	}
}

func newType(l *lua.LState, methods map[string]lua.LGFunction) objectType {
	t := l.NewTable()
	for name, f := range methods {
		t.RawSetString(name, l.NewFunction(f))
	}
	for name, level := range logLevels {
		t.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
			if o, ok := l.CheckUserData(1).Value.(logger); ok && !o.ended() {
				o.stream().Log(level, "lua: script log: "+l.CheckString(2))
			}
			return 0
		}))
	}
	t.RawSetString("__index", t)
	return objectType{t}
}

func newTypes(l *lua.LState) types {
	resolution := l.NewTable()
	resolution.RawSetString("MILLISECOND", lua.LNumber(milliseconds))
	resolution.RawSetString("MICROSECOND", lua.LNumber(microseconds))
	l.SetGlobal("EnvoyTimestampResolution", resolution)
	return types{
		handle:         newType(l, handleMethods),
		headers:        newType(l, headersMethods),
		body:           newType(l, bodyMethods),
		info:           newType(l, infoMethods),
		connection:     newType(l, connectionMethods),
		connectionInfo: newType(l, connectionInfoMethods),
		metadata:       newType(l, metadataMethods),
		dynamic:        newType(l, dynamicMethods),
		state:          newType(l, stateMethods),
		part:           newType(l, partMethods),
		key:            newType(l, keyMethods),
		stats:          newType(l, statsMethods),
		counter:        newType(l, counterMethods),
		gauge:          newType(l, gaugeMethods),
		histogram:      newType(l, histogramMethods),
	}
}
