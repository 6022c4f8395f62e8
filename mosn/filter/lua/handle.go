package lua

import (
	"encoding/base64"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// logger is an object that logs for a stream.
type logger interface {
	object
	stream() sdk.Stream
}

func (r *run) stream() sdk.Stream { return r.s }

var logLevels = map[string]sdk.LogLevel{
	"logTrace": sdk.LogDebug, "logDebug": sdk.LogDebug, "logInfo": sdk.LogInfo, "logWarn": sdk.LogWarn, "logErr": sdk.LogError,
	"logCritical": sdk.LogError,
}

// The values of EnvoyTimestampResolution.
const (
	milliseconds = iota
	microseconds
)

var handleMethods = map[string]lua.LGFunction{
	"headers":                 method(luaHeaders),
	"requestHeaders":          method(luaRequestHeaders),
	"body":                    method(luaBody),
	"bodyChunks":              method(luaBodyChunks),
	"trailers":                method(luaTrailers),
	"metadata":                method(luaMetadata),
	"filterContext":           method(luaFilterContext),
	"httpCall":                method(luaHTTPCall),
	"respond":                 method(luaRespond),
	"streamInfo":              method(luaStreamInfo),
	"connection":              method(luaConnection),
	"connectionStreamInfo":    method(luaConnectionInfo),
	"virtualHost":             method(luaVirtualHost),
	"route":                   method(luaRoute),
	"stats":                   method(luaStats),
	"importPublicKey":         method(luaImportPublicKey),
	"verifySignature":         method(luaVerifySignature),
	"base64Escape":            method(luaBase64Escape),
	"base64Decode":            method(luaBase64Decode),
	"timestamp":               method(luaTimestamp),
	"timestampString":         method(luaTimestampString),
	"clearRouteCache":         method(func(_ *lua.LState, r *run) int { r.s.ClearRoute(); return 0 }),
	"setUpstreamOverrideHost": method(luaOverrideHost),
}

func luaHeaders(l *lua.LState, r *run) int {
	if r.headers == nil {
		r.headers = r.m.types.headers.of(l, &headerMap{run: r, h: r.message(), head: true})
	}
	l.Push(r.headers)
	return 1
}

// luaRequestHeaders gives the head of the request, on the way back only to be read.
func luaRequestHeaders(l *lua.LState, r *run) int {
	if r.toServer {
		return luaHeaders(l, r)
	}
	if r.request == nil {
		r.request = r.m.types.headers.of(l, &headerMap{run: r, h: r.s.Request(), fixed: true})
	}
	l.Push(r.request)
	return 1
}

func luaTrailers(l *lua.LState, r *run) int {
	switch {
	case r.trailed:
		l.Push(r.trailersOf())
		return 1
	case r.end:
		return 0
	}
	r.wait = forTrailers
	return l.Yield()
}

func (r *run) trailersOf() lua.LValue {
	if r.trailers == nil {
		h := r.s.ResponseTrailers()
		if r.toServer {
			h = r.s.RequestTrailers()
		}
		r.trailers = r.m.types.headers.of(r.m.state, &headerMap{run: r, h: h})
	}
	return r.trailers
}

// luaRespond answers the request; the script does not go on.
func luaRespond(l *lua.LState, r *run) int {
	switch {
	case !r.toServer:
		l.RaiseError("respond not currently supported in the response path")
	case r.continued:
		l.RaiseError("respond() cannot be called if headers have been continued")
	}
	headers := readHeaders(l, 2)
	status, err := strconv.Atoi(headers.ID(sdk.HeaderStatus))
	if err != nil || status < 200 || status >= 600 {
		l.RaiseError(":status must be between 200-599")
	}
	body := ""
	if l.Get(3) != lua.LNil {
		body = l.CheckString(3)
	}
	r.reply = &sdk.Reply{Status: status, Body: body, Details: "lua_response", Edit: func(h *sdk.Headers) {
		for name, value := range headers.All() {
			if name != ":status" && name != "content-length" {
				h.Add(name, value)
			}
		}
	}}
	return l.Yield()
}

func luaBase64Escape(l *lua.LState, _ *run) int {
	l.Push(lua.LString(base64.StdEncoding.EncodeToString([]byte(l.CheckString(2)))))
	return 1
}

func luaBase64Decode(l *lua.LState, _ *run) int {
	b, err := base64.StdEncoding.DecodeString(l.CheckString(2))
	if err != nil {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LString(b))
	return 1
}

func luaTimestamp(l *lua.LState, _ *run) int {
	if v := l.Get(2); v != lua.LNil && v != lua.LNumber(milliseconds) {
		l.RaiseError("timestamp format must be MILLISECOND.")
	}
	l.Push(lua.LNumber(time.Now().UnixMilli()))
	return 1
}

func luaTimestampString(l *lua.LState, _ *run) int {
	switch l.Get(2) {
	case lua.LNil, lua.LNumber(milliseconds):
		l.Push(lua.LString(strconv.FormatInt(time.Now().UnixMilli(), 10)))
	case lua.LNumber(microseconds):
		l.Push(lua.LString(strconv.FormatInt(time.Now().UnixMicro(), 10)))
	default:
		l.RaiseError("timestamp format must be MILLISECOND or MICROSECOND.")
	}
	return 1
}

// luaOverrideHost says to which host the request goes.
func luaOverrideHost(l *lua.LState, r *run) int {
	if !r.toServer {
		l.RaiseError("setUpstreamOverrideHost() is only available in the request path")
	}
	r.s.OverrideHost(l.CheckString(2), l.OptBool(3, false))
	return 0
}
