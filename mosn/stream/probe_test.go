package stream

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// probe is a filter that notes every call in its script's log and does what the script
// says for it. Its calls are "rh", "rd", "rt" for the request's head, data, trailers,
// "sh", "sd", "st" for the response's, and "end".
type probe struct{ s *script }

// script is what a probe does, and the HTTPConfig that makes it.
type script struct {
	name string
	log  *[]string
	on   map[string]func(sdk.Stream) sdk.Action
	data map[string]func(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action
	last sdk.Stream // of the newest stream
	ends int
	news int
}

func (c *script) New(s sdk.Stream) sdk.Filter {
	c.last = s
	c.news++
	return probe{c}
}

func (c *script) Close() {}

func (p probe) call(s sdk.Stream, what, detail string) sdk.Action {
	*p.s.log = append(*p.s.log, p.s.name+what+detail)
	if f := p.s.on[what]; f != nil {
		return f(s)
	}
	return sdk.Continue
}

func (p probe) body(s sdk.Stream, what string, b *sdk.Buffer, end bool) sdk.Action {
	*p.s.log = append(*p.s.log, fmt.Sprintf("%s%s %q%s", p.s.name, what, b.Bytes(nil), dot(end)))
	if f := p.s.data[what]; f != nil {
		return f(s, b, end)
	}
	if f := p.s.on[what]; f != nil {
		return f(s)
	}
	return sdk.Continue
}

func dot(end bool) string {
	if end {
		return "."
	}
	return ""
}

func (p probe) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action { return p.call(s, "rh", dot(end)) }
func (p probe) OnRequestTrailers(s sdk.Stream) sdk.Action          { return p.call(s, "rt", ".") }
func (p probe) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	return p.call(s, "sh", dot(end))
}
func (p probe) OnResponseTrailers(s sdk.Stream) sdk.Action { return p.call(s, "st", ".") }
func (p probe) OnRequestData(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
	return p.body(s, "rd", b, end)
}

func (p probe) OnResponseData(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
	return p.body(s, "sd", b, end)
}

func (p probe) OnEnd(s sdk.Stream) {
	p.s.ends++
	p.call(s, "end", "")
}

// chain is a filter chain of scripts that share a log.
type chain struct {
	log     []string
	scripts []*script
}

func newChain(names ...string) *chain {
	c := &chain{}
	for _, name := range names {
		c.scripts = append(c.scripts, &script{
			name: name, log: &c.log, on: map[string]func(sdk.Stream) sdk.Action{},
			data: map[string]func(sdk.Stream, *sdk.Buffer, bool) sdk.Action{},
		})
	}
	return c
}

func (c *chain) filters() []FilterConfig {
	var list []FilterConfig
	for _, s := range c.scripts {
		list = append(list, FilterConfig{Name: s.name, Config: s})
	}
	return list
}

// calls returns what was called since the last time.
func (c *chain) calls() string {
	s := strings.Join(c.log, " ")
	c.log = nil
	return s
}

func (c *chain) called(t testing.TB, want string) {
	t.Helper()
	if got := c.calls(); got != want {
		t.Errorf("called %s\nwant   %s", got, want)
	}
}

// balanced checks that every filter that was made was ended, once.
func (c *chain) balanced(t testing.TB) {
	t.Helper()
	for _, s := range c.scripts {
		if s.news != s.ends {
			t.Errorf("%s: %d made, %d ended", s.name, s.news, s.ends)
		}
	}
}
