package lua

import (
	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// waiting is what a script waits for.
type waiting uint8

const (
	nothing waiting = iota
	forBody
	forChunk
	forTrailers
	forCall
)

// run is a script at work on one direction of a stream: a coroutine, and where the
// message stands. It is used on the stream's loop.
type run struct {
	s        sdk.Stream
	f        *filter
	m        *machine
	co       *lua.LState
	toServer bool

	wait      waiting
	continued bool // the head has gone on
	sawBody   bool
	end       bool // all of the message is here
	trailed   bool // it has trailers, which are here
	over      bool // the script has ended, by itself or not

	chunk *sdk.Buffer // what the script is shown at the moment, nil for what is held
	reply *sdk.Reply  // the script's answer to the request

	handle, headers, body, trailers, request, info *lua.LUserData // nil until the script asks for them
}

// begin starts the script with the head of a message.
func (r *run) begin(fn *lua.LFunction, end bool) {
	r.end = end
	r.co, _ = r.m.state.NewThread()
	r.handle = r.m.types.handle.of(r.m.state, r)
	r.resume(fn, r.handle)
}

// fewest is how many values a script gets at least of what it has waited for: the
// interpreter does not fill up what the script has names for.
const fewest = 3

// resume has the script go on until it ends or waits.
func (r *run) resume(fn *lua.LFunction, args ...lua.LValue) {
	r.wait = nothing
	r.co.SetContext(&budget{left: maxSteps})
	for fn == nil && len(args) < fewest {
		args = append(args, lua.LNil)
	}
	state, err, _ := r.m.state.Resume(r.co, fn, args...)
	switch {
	case state == lua.ResumeError:
		r.fail(err.Error())
	case state == lua.ResumeOK:
		r.over = true
	case r.reply != nil:
		r.over = true
		r.s.Reply(*r.reply)
	case r.wait == nothing:
		r.fail("script performed an unexpected yield")
	}
}

// fail gives the script up after an error: the message goes on as it is.
func (r *run) fail(text string) {
	r.over, r.wait = true, nothing
	r.f.inc(r.s, r.f.c.errors)
	r.s.Log(sdk.LogError, "lua: script log: "+text)
}

// action is what the chain is to do now.
func (r *run) action() sdk.Action {
	switch {
	case r.reply != nil:
		return sdk.Replied
	case r.wait == forBody, r.wait == forCall:
		return sdk.Collect
	}
	r.continued = true
	return sdk.Continue
}

// onData shows the script body that has come: b is all that is held when the script
// collects.
func (r *run) onData(b *sdk.Buffer, end bool) sdk.Action {
	r.sawBody, r.end = true, r.end || end
	r.chunk = b
	switch {
	case r.wait == forChunk:
		r.resume(nil, r.bodyOf(b))
	case r.wait == forBody && end:
		r.resume(nil, r.whole()...)
	case r.wait == forTrailers && end:
		r.resume(nil)
	}
	r.chunk = nil
	return r.action()
}

// onTrailers tells the script of trailers. It may come again after they were held.
func (r *run) onTrailers() sdk.Action {
	again := r.trailed
	r.end, r.trailed = true, true
	if !again {
		switch r.wait {
		case forChunk:
			r.resume(nil)
		case forBody:
			r.resume(nil, r.whole()...)
		case forTrailers:
			r.resume(nil, r.trailersOf())
		}
	}
	return r.action()
}

// goOn lets the message go on after what the script has waited for came from elsewhere.
func (r *run) goOn() {
	switch {
	case r.reply != nil || r.wait == forCall:
	case r.wait == forBody && !r.end: // the chain goes on collecting
	case r.wait == forBody:
		r.resume(nil, r.whole()...)
		r.goOn()
	default:
		r.continued = true
		if r.toServer {
			r.s.ResumeRequest()
		} else {
			r.s.ResumeResponse()
		}
	}
}

// held is the body that is held at the filter.
func (r *run) held() *sdk.Buffer {
	if r.toServer {
		return r.s.RequestBody()
	}
	return r.s.ResponseBody()
}

// buffer is the body that the script may look at.
func (r *run) buffer() *sdk.Buffer {
	if r.chunk != nil {
		return r.chunk
	}
	return r.held()
}

// whole is the whole body as the value that body() returns: none when it is empty.
func (r *run) whole() []lua.LValue {
	if r.buffer().Empty() {
		return nil
	}
	return []lua.LValue{r.bodyOf(nil)}
}

// message is the head of the message.
func (r *run) message() *sdk.Headers {
	if r.toServer {
		return r.s.Request()
	}
	return r.s.Response()
}

// modified notes that the script has changed the head.
func (r *run) modified() {
	if r.toServer && r.f.c.clearRoute {
		r.s.ClearRoute()
	}
}

// stop forgets the script with the stream.
func (r *run) stop() { r.over, r.wait = true, nothing }
