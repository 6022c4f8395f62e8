package lua

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// headerMap is a script's handle of headers or trailers.
type headerMap struct {
	*run
	h         *sdk.Headers
	head      bool // of the message's own head, which cannot be changed when it has gone on
	fixed     bool // only to be read
	iterating bool
}

var headersMethods = map[string]lua.LGFunction{
	"get":                  method(luaGet),
	"getAtIndex":           method(luaGetAtIndex),
	"getNumValues":         method(luaGetNumValues),
	"add":                  method(luaAdd),
	"replace":              method(luaReplace),
	"remove":               method(luaRemove),
	"setHttp1ReasonPhrase": method(luaSetReason),
	"__pairs":              method(luaHeaderPairs),
}

// check refuses a change that cannot be made.
func (m *headerMap) check(l *lua.LState) {
	switch {
	case m.iterating:
		l.RaiseError("header map cannot be modified while iterating")
	case m.fixed, m.head && m.continued:
		l.RaiseError("header map can no longer be modified")
	case m.head:
		m.modified()
	}
}

// headerName reads the name of a header as our headers have them.
func headerName(l *lua.LState, at int) string {
	name := strings.ToLower(l.CheckString(at))
	if name == "host" {
		name = ":authority"
	}
	return name
}

// headerValue reads a value, which must not break out of its line.
func headerValue(l *lua.LState, at int) string {
	v := l.CheckString(at)
	if strings.ContainsAny(v, "\r\n\x00") {
		l.ArgError(at, "a header value has CR, LF or NUL")
	}
	return v
}

func luaGet(l *lua.LState, m *headerMap) int {
	name := headerName(l, 2)
	i := m.h.Find(name, 0)
	if i < 0 {
		return 0
	}
	value := m.h.ValueAt(i)
	if more := m.h.Find(name, i+1); more >= 0 {
		list := []string{value}
		for ; more >= 0; more = m.h.Find(name, more+1) {
			list = append(list, m.h.ValueAt(more))
		}
		value = strings.Join(list, ",")
	}
	l.Push(lua.LString(strings.Clone(value)))
	return 1
}

func luaGetAtIndex(l *lua.LState, m *headerMap) int {
	name, index := headerName(l, 2), number(l, 3)
	for i := m.h.Find(name, 0); i >= 0 && index >= 0; i = m.h.Find(name, i+1) {
		if index == 0 {
			l.Push(lua.LString(strings.Clone(m.h.ValueAt(i))))
			return 1
		}
		index--
	}
	return 0
}

func luaGetNumValues(l *lua.LState, m *headerMap) int {
	name, n := headerName(l, 2), 0
	for i := m.h.Find(name, 0); i >= 0; i = m.h.Find(name, i+1) {
		n++
	}
	l.Push(lua.LNumber(n))
	return 1
}

func luaAdd(l *lua.LState, m *headerMap) int {
	m.check(l)
	m.h.Add(headerName(l, 2), headerValue(l, 3))
	return 0
}

func luaReplace(l *lua.LState, m *headerMap) int {
	m.check(l)
	m.h.Set(headerName(l, 2), headerValue(l, 3))
	return 0
}

func luaRemove(l *lua.LState, m *headerMap) int {
	m.check(l)
	m.h.Remove(headerName(l, 2))
	return 0
}

// luaSetReason is accepted: the reason phrase says nothing, and the codec writes that of
// the status.
func luaSetReason(l *lua.LState, m *headerMap) int {
	m.check(l)
	l.CheckString(2)
	return 0
}

// luaHeaderPairs iterates over a copy; until it has come to the end nothing can be
// changed.
func luaHeaderPairs(l *lua.LState, m *headerMap) int {
	if m.iterating {
		l.RaiseError("cannot create a second iterator before completing the first")
	}
	m.iterating = true
	var list []string
	for name, value := range m.h.All() {
		list = append(list, strings.Clone(name), strings.Clone(value))
	}
	l.Push(l.NewFunction(func(l *lua.LState) int {
		if len(list) == 0 {
			m.iterating = false
			return 0
		}
		l.Push(lua.LString(list[0]))
		l.Push(lua.LString(list[1]))
		list = list[2:]
		return 2
	}))
	return 1
}

// readHeaders reads a table of headers: each value a string or a list of strings.
func readHeaders(l *lua.LState, at int) *sdk.Headers {
	h := &sdk.Headers{}
	l.CheckTable(at).ForEach(func(k, v lua.LValue) {
		name := strings.ToLower(k.String())
		if name == "host" {
			name = ":authority"
		}
		add := func(v lua.LValue) {
			text := lua.LVAsString(v)
			if v.Type() != lua.LTString && v.Type() != lua.LTNumber || strings.ContainsAny(name+text, "\r\n\x00") {
				l.RaiseError("header %q has a value that is none", name)
			}
			h.Add(name, text)
		}
		if list, ok := v.(*lua.LTable); ok {
			list.ForEach(func(_, v lua.LValue) { add(v) })
			return
		}
		add(v)
	})
	return h
}
