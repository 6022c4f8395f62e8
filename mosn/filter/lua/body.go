package lua

import (
	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// body is a script's handle of a body: of what is held, or of a piece that passes by.
type body struct {
	*run
	piece *sdk.Buffer // nil: what is held
}

func (b *body) ended() bool { return b.run.ended() || b.piece != nil && b.piece != b.chunk }

func (b *body) buffer() *sdk.Buffer {
	if b.piece != nil {
		return b.piece
	}
	return b.run.buffer()
}

var bodyMethods = map[string]lua.LGFunction{
	"length": method(func(l *lua.LState, b *body) int {
		l.Push(lua.LNumber(b.buffer().Len()))
		return 1
	}),
	"getBytes": method(luaGetBytes),
	"setBytes": method(luaSetBytes),
}

func luaGetBytes(l *lua.LState, b *body) int {
	index, n, have := number(l, 2), number(l, 3), b.buffer().Len()
	if index < 0 || n < 0 || index > have || n > have-index {
		l.RaiseError("index/length must be >= 0 and (index + length) must be <= buffer size")
	}
	out := make([]byte, 0, n)
	for chunk := range b.buffer().Chunks() {
		skip := min(index, len(chunk))
		index -= skip
		chunk = chunk[skip:]
		out = append(out, chunk[:min(len(chunk), n-len(out))]...)
	}
	l.Push(lua.LString(out))
	return 1
}

func luaSetBytes(l *lua.LState, b *body) int {
	buf, text := b.buffer(), l.CheckString(2)
	buf.Drain(buf.Len())
	buf.AppendString(text)
	b.message().SetInt(sdk.HeaderContentLength, int64(len(text)))
	l.Push(lua.LNumber(len(text)))
	return 1
}

// bodyOf makes a handle of a body; piece nil stands for what is held.
func (r *run) bodyOf(piece *sdk.Buffer) lua.LValue {
	if piece != nil {
		return r.m.types.body.of(r.m.state, &body{r, piece})
	}
	if r.body == nil {
		r.body = r.m.types.body.of(r.m.state, &body{run: r})
	}
	return r.body
}

// luaBody waits for the whole body. One that is empty is none, unless that is asked for.
func luaBody(l *lua.LState, r *run) int {
	always := l.OptBool(2, false)
	switch {
	case r.body != nil:
		l.Push(r.body)
		return 1
	case r.continued && r.sawBody:
		l.RaiseError("cannot call body() after body has been streamed")
	case !r.end:
		r.wait = forBody
		return l.Yield()
	case r.held().Empty() && !always:
		return 0
	}
	l.Push(r.bodyOf(nil))
	return 1
}

// luaBodyChunks gives an iterator over the pieces of the body as they come.
func luaBodyChunks(l *lua.LState, r *run) int {
	if r.sawBody {
		l.RaiseError("cannot call bodyChunks after body processing has begun")
	}
	l.Push(l.NewFunction(func(l *lua.LState) int {
		switch {
		case r.over:
			l.RaiseError("object used outside of proper scope")
		case r.end:
			return 0
		}
		r.wait = forChunk
		return l.Yield()
	}))
	return 1
}
