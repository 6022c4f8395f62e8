package lua

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// maxSteps is the most instructions that a script may run at a time: until it ends or
// waits. One that needs more is stopped with an error. That many take some 5 ms.
const maxSteps = 200_000

// program is a compiled script. It is immutable but for the machines, of which each loop
// has one of its own: the globals of a script are a loop's.
type program struct {
	proto *lua.FunctionProto

	mu       sync.Mutex // for growing machines
	machines atomic.Pointer[[]*atomic.Pointer[machine]]
}

// machine is an interpreter with the script loaded. It is used on one loop.
type machine struct {
	state     *lua.LState
	types     types
	stats     map[string]stat
	onRequest *lua.LFunction // nil when the script has none
	onAnswer  *lua.LFunction
}

// compileProgram compiles a script and runs it once, to know that it can be loaded.
func compileProgram(text string) (*program, error) {
	proto, err := compileChunk(text, chunkName(text))
	if err != nil {
		return nil, err
	}
	p := &program{proto: proto}
	m, err := p.load()
	if err == nil {
		m.state.Close()
	}
	return p, err
}

func compileChunk(text, name string) (*lua.FunctionProto, error) {
	chunk, err := parse.Parse(strings.NewReader(text), name)
	if err != nil {
		return nil, err
	}
	rewriteBlock(chunk)
	return lua.Compile(chunk, name)
}

// chunkName is how errors name a script: by the beginning of its first line.
func chunkName(text string) string {
	line, _, more := strings.Cut(text, "\n")
	const most = 45
	if len(line) > most {
		line, more = line[:most], true
	}
	if more {
		line += "..."
	}
	return `[string "` + line + `"]`
}

// load makes a machine.
func (p *program) load() (*machine, error) {
	l := lua.NewState(lua.Options{
		SkipOpenLibs: true, MinimizeStackMemory: true, CallStackSize: 1024,
		RegistrySize: 128, RegistryGrowStep: 256, RegistryMaxSize: 256 << 10,
	})
	m := &machine{state: l, stats: map[string]stat{}}
	openLibraries(l)
	m.types = newTypes(l)
	l.SetContext(&budget{left: maxSteps})
	l.Push(l.NewFunctionFromProto(p.proto))
	if err := l.PCall(0, 0, nil); err != nil {
		l.Close()
		return nil, scriptError(err)
	}
	l.RemoveContext()
	m.onRequest, _ = l.GetGlobal("envoy_on_request").(*lua.LFunction)
	m.onAnswer, _ = l.GetGlobal("envoy_on_response").(*lua.LFunction)
	return m, nil
}

// on returns the machine of a loop, nil when it could not be made: that has worked when
// the script was compiled.
func (p *program) on(loop int) *machine {
	list := p.machines.Load()
	if list == nil || loop >= len(*list) {
		list = p.grow(loop + 1)
	}
	place := (*list)[loop]
	m := place.Load()
	if m == nil {
		m, _ = p.load()
		place.Store(m)
	}
	return m
}

func (p *program) grow(n int) *[]*atomic.Pointer[machine] {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*atomic.Pointer[machine]
	if old := p.machines.Load(); old != nil {
		list = append(list, *old...)
	}
	for len(list) < n {
		list = append(list, &atomic.Pointer[machine]{})
	}
	p.machines.Store(&list)
	return &list
}

// scriptError is an error of the interpreter without the stack.
func scriptError(err error) error {
	var e *lua.ApiError
	if errors.As(err, &e) && e.Object != nil {
		return errors.New(e.Object.String())
	}
	return err
}

// budget is a context that is over after a number of looks at it: the interpreter looks
// once an instruction.
type budget struct {
	left int
	over chan struct{} // nil until it is
}

var errTooLong = errors.New("the script runs too long")

var _ context.Context = (*budget)(nil)

// Done implements context.Context.
func (b *budget) Done() <-chan struct{} {
	if b.left > 0 {
		b.left--
		return nil
	}
	if b.over == nil {
		b.over = make(chan struct{})
		close(b.over)
	}
	return b.over
}

// Err implements context.Context.
func (b *budget) Err() error {
	if b.left > 0 {
		return nil
	}
	return errTooLong
}

// Deadline implements context.Context.
func (*budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (*budget) Value(any) any { return nil }
