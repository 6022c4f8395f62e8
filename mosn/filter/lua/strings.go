package lua

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openPatterns puts the functions with patterns in place of the interpreter's own.
func openPatterns(l *lua.LState, library *lua.LTable) {
	for name, f := range map[string]lua.LGFunction{
		"find": func(l *lua.LState) int { return search(l, true) }, "match": func(l *lua.LState) int { return search(l, false) },
		"gmatch": eachMatch, "gfind": eachMatch, "gsub": substitute,
	} {
		l.SetField(library, name, l.NewFunction(f))
	}
}

// search is find and match: (text, pattern, where to begin), for find also whether the
// pattern is plain text.
func search(l *lua.LState, find bool) int {
	src, pat, from := l.CheckString(1), l.CheckString(2), l.OptInt(3, 1)
	switch {
	case from > 0:
		from--
	case from < 0:
		from += len(src)
	}
	from = min(max(from, 0), len(src))
	if find && (l.ToBool(4) || !strings.ContainsAny(pat, "^$*+?.([%-")) {
		i := strings.Index(src[from:], pat)
		if i < 0 {
			l.Push(lua.LNil)
			return 1
		}
		l.Push(lua.LNumber(from + i + 1))
		l.Push(lua.LNumber(from + i + len(pat)))
		return 2
	}
	pat, anchored := strings.CutPrefix(pat, "^")
	m := &matcher{src: src, pat: pat}
	m.begin(l)
	defer m.done()
	for s := from; s <= len(src); s++ {
		if end := m.at(s); end >= 0 {
			if !find {
				return m.push(s, end, true)
			}
			l.Push(lua.LNumber(s + 1))
			l.Push(lua.LNumber(end))
			return 2 + m.push(s, end, false)
		}
		if anchored {
			break
		}
	}
	l.Push(lua.LNil)
	return 1
}

// eachMatch is gmatch: an iterator over the matches.
func eachMatch(l *lua.LState) int {
	m, from := &matcher{src: l.CheckString(1), pat: l.CheckString(2)}, 0
	l.Push(l.NewFunction(func(l *lua.LState) int {
		m.begin(l)
		defer m.done()
		for ; from <= len(m.src); from++ {
			if end := m.at(from); end >= 0 {
				n := m.push(from, end, true)
				if from == end { // an empty one; the next begins behind
					end++
				}
				from = end
				return n
			}
		}
		return 0
	}))
	return 1
}

// substitute is gsub: (text, pattern, what comes in place, how often at most).
func substitute(l *lua.LState) int {
	src, pat := l.CheckString(1), l.CheckString(2)
	in := l.CheckAny(3)
	switch in.Type() {
	case lua.LTString, lua.LTNumber, lua.LTTable, lua.LTFunction:
	default:
		l.ArgError(3, "string/function/table expected")
	}
	most := l.OptInt(4, len(src)+1)
	pat, anchored := strings.CutPrefix(pat, "^")
	m := &matcher{src: src, pat: pat}
	var out strings.Builder
	n, s := 0, 0
	for n < most {
		m.begin(l)
		end := m.at(s)
		m.done() // a function may run now
		if end >= 0 {
			n++
			m.replace(&out, in, s, end)
		}
		switch {
		case end > s:
			s = end
		case s < len(src):
			out.WriteByte(src[s])
			s++
		default:
			most = n
		}
		if anchored {
			break
		}
	}
	out.WriteString(src[s:])
	l.Push(lua.LString(out.String()))
	l.Push(lua.LNumber(n))
	return 2
}

// replace writes what comes in place of a match.
func (m *matcher) replace(out *strings.Builder, in lua.LValue, from, end int) {
	l := m.l
	var v lua.LValue
	switch in := in.(type) {
	case *lua.LFunction:
		l.Push(in)
		l.Call(m.push(from, end, true), 1)
		v = l.Get(-1)
		l.Pop(1)
	case *lua.LTable:
		v = l.GetTable(in, m.value(0, from, end))
	default:
		m.expand(out, lua.LVAsString(in), from, end)
		return
	}
	switch {
	case !lua.LVAsBool(v):
		v = lua.LString(m.src[from:end])
	case !lua.LVCanConvToString(v):
		l.RaiseError("invalid replacement value (a %s)", v.Type())
	}
	m.write(out, lua.LVAsString(v))
}

// expand writes a text in which %0 to %9 stand for the match and its captures.
func (m *matcher) expand(out *strings.Builder, text string, from, end int) {
	for {
		before, rest, more := strings.Cut(text, "%")
		m.write(out, before)
		switch {
		case !more:
			return
		case rest == "":
			m.l.RaiseError("invalid use of '%s' in replacement string", "%")
		case rest[0] == '0':
			m.write(out, m.src[from:end])
		case rest[0] >= '1' && rest[0] <= '9':
			m.write(out, lua.LVAsString(m.value(int(rest[0]-'1'), from, end)))
		default:
			m.write(out, rest[:1])
		}
		text = rest[1:]
	}
}

func (m *matcher) write(out *strings.Builder, s string) {
	if out.Len()+len(s) > maxRepeat {
		m.l.RaiseError("the result of string.gsub would have more than %d bytes", maxRepeat)
	}
	out.WriteString(s)
}
