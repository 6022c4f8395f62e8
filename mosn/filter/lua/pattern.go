package lua

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The interpreter's own patterns do not count their steps: matching ".-b" against some
// kilobytes without a b takes it seconds, in which the loop does nothing else. These are
// the same patterns (Lua 5.1 manual, 5.4.1), counted with the steps of the script.

// stepsEach is how many steps of matching are as long as one instruction.
const stepsEach = 4

// maxCaptures and maxNested are Lua's own limits: of captures, and of parts of a pattern
// that can each be matched in more than one way.
const (
	maxCaptures = 32
	maxNested   = 200
)

// What stands for the length of a capture that is not closed, and of a position.
const (
	unclosed = -1
	position = -2
)

type capture struct{ from, length int }

// matcher matches a pattern against a text.
type matcher struct {
	l        *lua.LState
	src, pat string
	left     int // steps
	captures [maxCaptures]capture
	level    int // captures so far
	nested   int // matches of parts that are under way
}

// begin takes what is left to the script, and done gives it back.
func (m *matcher) begin(l *lua.LState) {
	m.l, m.left = l, maxSteps*stepsEach
	if b, ok := l.Context().(*budget); ok {
		m.left = b.left * stepsEach
	}
}

func (m *matcher) done() {
	if b, ok := m.l.Context().(*budget); ok {
		b.left = max(m.left, 0) / stepsEach
	}
}

func (m *matcher) step() {
	if m.left--; m.left <= 0 {
		m.done()
		m.l.RaiseError("%v", errTooLong)
	}
}

// malformed refuses the pattern.
func (m *matcher) malformed(why string) { m.l.RaiseError("malformed pattern (%s)", why) }

// at matches from a place of the text, and returns where the match ends, -1 for none.
func (m *matcher) at(s int) int {
	m.level, m.nested = 0, 0
	m.step()
	return m.match(s, 0)
}

// rest is match for what comes behind a part of the pattern.
func (m *matcher) rest(s, p int) int {
	if m.nested++; m.nested > maxNested {
		m.l.RaiseError("pattern too complex")
	}
	e := m.match(s, p)
	m.nested--
	return e
}

// match matches the pattern from p on.
func (m *matcher) match(s, p int) int {
	for p < len(m.pat) {
		m.step()
		switch c := m.pat[p]; {
		case c == '(' && strings.HasPrefix(m.pat[p:], "()"):
			return m.open(s, p+2, position)
		case c == '(':
			return m.open(s, p+1, unclosed)
		case c == ')':
			return m.close(s, p+1)
		case c == '$' && p+1 == len(m.pat):
			if s == len(m.src) {
				return s
			}
			return -1
		case c == '%' && p+1 < len(m.pat) && strings.IndexByte("bf0123456789", m.pat[p+1]) >= 0:
			if s, p = m.special(s, p+1); s < 0 {
				return -1
			}
			continue
		}
		end := m.classEnd(p)
		quantifier := byte(0)
		if end < len(m.pat) {
			quantifier = m.pat[end]
		}
		switch quantifier {
		case '*':
			return m.most(s, p, end)
		case '+':
			if !m.one(s, p, end) {
				return -1
			}
			return m.most(s+1, p, end)
		case '-':
			return m.least(s, p, end)
		case '?':
			if m.one(s, p, end) {
				if e := m.rest(s+1, end+1); e >= 0 {
					return e
				}
			}
			p = end + 1
		default:
			if !m.one(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
	return s
}

// most takes as many bytes of a class as it can, then fewer, until the rest matches.
func (m *matcher) most(s, p, end int) int {
	n := 0
	for m.one(s+n, p, end) {
		n++
	}
	for ; n >= 0; n-- {
		if e := m.rest(s+n, end+1); e >= 0 {
			return e
		}
		m.step()
	}
	return -1
}

// least takes as few as it can.
func (m *matcher) least(s, p, end int) int {
	for {
		if e := m.rest(s, end+1); e >= 0 {
			return e
		}
		if !m.one(s, p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) open(s, p, length int) int {
	if m.level == maxCaptures {
		m.l.RaiseError("too many captures")
	}
	m.captures[m.level] = capture{s, length}
	m.level++
	e := m.rest(s, p)
	if e < 0 {
		m.level--
	}
	return e
}

func (m *matcher) close(s, p int) int {
	i := m.level - 1
	for i >= 0 && m.captures[i].length != unclosed {
		i--
	}
	if i < 0 {
		m.l.RaiseError("invalid pattern capture")
	}
	m.captures[i].length = s - m.captures[i].from
	e := m.rest(s, p)
	if e < 0 {
		m.captures[i].length = unclosed
	}
	return e
}

// special matches %b, %f or a capture again; p is behind the %. It returns where both go
// on, s below 0 for no match.
func (m *matcher) special(s, p int) (int, int) {
	switch c := m.pat[p]; c {
	case 'b':
		if p+2 >= len(m.pat) {
			m.malformed("missing arguments to '%b'")
		}
		return m.balanced(s, m.pat[p+1], m.pat[p+2]), p + 3
	case 'f':
		if p+1 >= len(m.pat) || m.pat[p+1] != '[' {
			m.malformed("missing '[' after '%f'")
		}
		end := m.classEnd(p + 1)
		before, now := byte(0), byte(0)
		if s > 0 {
			before = m.src[s-1]
		}
		if s < len(m.src) {
			now = m.src[s]
		}
		if m.set(before, p+1, end) || !m.set(now, p+1, end) {
			return -1, 0
		}
		return s, end
	default:
		i := int(c) - '1'
		if i < 0 || i >= m.level || m.captures[i].length < 0 {
			m.l.RaiseError("invalid capture index")
		}
		again := m.src[m.captures[i].from:][:m.captures[i].length]
		m.left -= len(again) / stepsEach
		if !strings.HasPrefix(m.src[s:], again) {
			return -1, 0
		}
		return s + len(again), p + 1
	}
}

// balanced returns the end of a text between two bytes, in which others may be nested.
func (m *matcher) balanced(s int, begin, end byte) int {
	if s >= len(m.src) || m.src[s] != begin {
		return -1
	}
	depth := 1
	for s++; s < len(m.src); s++ {
		m.step()
		switch m.src[s] {
		case end:
			if depth--; depth == 0 {
				return s + 1
			}
		case begin:
			depth++
		}
	}
	return -1
}

// classEnd returns where the class that begins at p ends.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p == len(m.pat) {
			m.malformed("ends with '%'")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; ; first = false { // a ] that comes first is one of the set
			m.step()
			if p >= len(m.pat) {
				m.malformed("missing ']'")
			}
			if m.pat[p] == ']' && !first {
				return p + 1
			}
			if m.pat[p] == '%' {
				p++
			}
			p++
		}
	}
	return p
}

// one reports whether the byte at s is of the class from p to end.
func (m *matcher) one(s, p, end int) bool {
	m.step()
	if s >= len(m.src) {
		return false
	}
	switch c := m.src[s]; m.pat[p] {
	case '.':
		return true
	case '%':
		return ofClass(c, m.pat[p+1])
	case '[':
		return m.set(c, p, end)
	default:
		return m.pat[p] == c
	}
}

// set reports whether c is of the set from p to end.
func (m *matcher) set(c byte, p, end int) bool {
	list := m.pat[p+1 : end-1]
	list, not := strings.CutPrefix(list, "^")
	for len(list) > 0 {
		m.step()
		switch {
		case list[0] == '%' && len(list) > 1:
			if ofClass(c, list[1]) {
				return !not
			}
			list = list[2:]
		case len(list) > 2 && list[1] == '-':
			if list[0] <= c && c <= list[2] {
				return !not
			}
			list = list[3:]
		default:
			if list[0] == c {
				return !not
			}
			list = list[1:]
		}
	}
	return not
}

// ofClass reports whether c is of a class by its letter; a capital is all else.
func ofClass(c, class byte) (is bool) {
	lower := c >= 'a' && c <= 'z'
	upper := c >= 'A' && c <= 'Z'
	digit := c >= '0' && c <= '9'
	switch class | 0x20 {
	case 'a':
		is = lower || upper
	case 'c':
		is = c < ' ' || c == 0x7f
	case 'd':
		is = digit
	case 'l':
		is = lower
	case 'p':
		is = c > ' ' && c < 0x7f && !lower && !upper && !digit
	case 's':
		is = c == ' ' || c >= '\t' && c <= '\r'
	case 'u':
		is = upper
	case 'w':
		is = lower || upper || digit
	case 'x':
		is = digit || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	case 'z':
		is = c == 0
	default:
		return class == c
	}
	if class >= 'A' && class <= 'Z' {
		return !is
	}
	return is
}

// value is what a capture gives; without any the whole match is one.
func (m *matcher) value(i, from, end int) lua.LValue {
	if i >= m.level {
		if i > 0 {
			m.l.RaiseError("invalid capture index")
		}
		return lua.LString(m.src[from:end])
	}
	switch c := m.captures[i]; c.length {
	case position:
		return lua.LNumber(c.from + 1)
	case unclosed:
		m.l.RaiseError("unfinished capture")
		return nil
	default:
		return lua.LString(m.src[c.from:][:c.length])
	}
}

// push pushes all captures, or with whole, if there are none, the match.
func (m *matcher) push(from, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.l.Push(m.value(i, from, end))
	}
	return n
}
