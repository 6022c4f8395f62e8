package lua

import (
	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// maxStats bounds the names that a script may count by on a loop; what is beyond is not
// counted.
const maxStats = 128

// stat is something that a script counts.
type stat struct {
	*run
	counter   sdk.Counter
	gauge     sdk.Gauge
	histogram sdk.Histogram
	lost      bool
}

func luaStats(l *lua.LState, r *run) int {
	l.Push(r.m.types.stats.of(l, r))
	return 1
}

var statsMethods = map[string]lua.LGFunction{
	"counter": method(func(l *lua.LState, r *run) int {
		return r.statOf(l, r.m.types.counter, "c", func(s *stat, name string) { s.counter = r.f.c.scope.Counter(name) })
	}),
	"gauge": method(func(l *lua.LState, r *run) int {
		return r.statOf(l, r.m.types.gauge, "g", func(s *stat, name string) { s.gauge = r.f.c.scope.Gauge(name) })
	}),
	"histogram": method(func(l *lua.LState, r *run) int {
		return r.statOf(l, r.m.types.histogram, "h", func(s *stat, name string) { s.histogram = r.f.c.scope.Histogram(name) })
	}),
}

// statOf gives a stat by its name; the names are remembered.
func (r *run) statOf(l *lua.LState, t objectType, kind string, open func(*stat, string)) int {
	name := l.CheckString(2)
	s, ok := r.m.stats[kind+name]
	if !ok {
		if s.lost = len(r.m.stats) >= maxStats; !s.lost {
			open(&s, name)
			r.m.stats[kind+name] = s
		}
	}
	s.run = r
	l.Push(t.of(l, &s))
	return 1
}

// by is a method that counts, by its argument or by one.
func by(f func(s *stat, n int)) lua.LGFunction {
	return method(func(l *lua.LState, s *stat) int {
		n := 1
		if l.GetTop() > 1 {
			n = number(l, 2)
		}
		if !s.lost {
			f(s, n)
		}
		return 0
	})
}

// unread is a method that would have to know what all loops have counted.
func unread(what string) lua.LGFunction {
	return func(l *lua.LState) int {
		l.RaiseError("%s is not supported: a loop knows only what it has counted itself", what)
		return 0
	}
}

func count(s *stat, n int) {
	if n > 0 {
		s.s.Add(s.counter, uint64(n))
	}
}

var (
	counterMethods = map[string]lua.LGFunction{"inc": by(count), "add": by(count), "value": unread("counter:value()")}
	gaugeMethods   = map[string]lua.LGFunction{
		"inc":   by(func(s *stat, n int) { s.s.AddGauge(s.gauge, int64(n)) }),
		"add":   by(func(s *stat, n int) { s.s.AddGauge(s.gauge, int64(n)) }),
		"dec":   by(func(s *stat, n int) { s.s.AddGauge(s.gauge, -int64(n)) }),
		"sub":   by(func(s *stat, n int) { s.s.AddGauge(s.gauge, -int64(n)) }),
		"set":   unread("gauge:set()"),
		"value": unread("gauge:value()"),
	}
	histogramMethods = map[string]lua.LGFunction{
		"recordValue": by(func(s *stat, n int) { s.s.Observe(s.histogram, uint64(max(n, 0))) }),
	}
)
