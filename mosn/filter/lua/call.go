package lua

import (
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"sofamesh.io/sofamesh/sdk"
)

// luaHTTPCall makes a call to a cluster: httpCall(cluster, headers, body, timeout in
// milliseconds, asynchronous), or a table of options in place of the last two. Without
// asynchronous the script waits for the answer.
func luaHTTPCall(l *lua.LState, r *run) int {
	cluster := l.CheckString(2)
	headers := readHeaders(l, 3)
	body := ""
	if l.Get(4) != lua.LNil {
		body = l.CheckString(4)
	}
	o := callOptions(l)
	if _, ok := r.s.Members(cluster); !ok {
		l.RaiseError("http call cluster invalid. Must be configured")
	}
	if headers.Path() == "" || headers.Method() == "" || headers.Authority() == "" {
		l.RaiseError("http call headers must include ':path', ':method', and ':authority'")
	}
	req := &sdk.CallRequest{Body: []byte(body), Timeout: o.timeout}
	req.Headers.CopyFrom(headers)
	if body != "" {
		req.Headers.SetInt(sdk.HeaderContentLength, int64(len(body)))
	}
	if o.async {
		r.s.Call(cluster, req, func(*sdk.CallResponse, *sdk.CallError) {})
		return 0
	}
	r.wait = forCall
	r.s.Call(cluster, req, func(resp *sdk.CallResponse, err *sdk.CallError) {
		if r.wait != forCall {
			return
		}
		head, text := r.answer(resp, err, o.lists)
		r.resume(nil, head, text)
		r.goOn()
	})
	return l.Yield()
}

type options struct {
	timeout time.Duration
	async   bool
	lists   bool // values of one name as a list
}

// longest stands for a call without timeout.
const longest = 24 * time.Hour

func callOptions(l *lua.LState) (o options) {
	timeout := lua.LNumber(0)
	if t, ok := l.Get(5).(*lua.LTable); ok {
		if n, ok := t.RawGetString("timeout_ms").(lua.LNumber); ok {
			timeout = n
		}
		o.async, o.lists = lua.LVAsBool(t.RawGetString("asynchronous")), lua.LVAsBool(t.RawGetString("return_duplicate_headers"))
	} else {
		timeout = l.CheckNumber(5)
		switch v := l.Get(6); v.Type() {
		case lua.LTNil:
		case lua.LTBool:
			o.async = lua.LVAsBool(v)
		default:
			l.RaiseError("http call asynchronous flag must be 'true', 'false', or empty")
		}
	}
	if timeout < 0 {
		l.RaiseError("http call timeout must be >= 0")
	}
	if o.timeout = time.Duration(float64(timeout) * float64(time.Millisecond)); o.timeout <= 0 || o.timeout > longest {
		o.timeout = longest
	}
	return o
}

// answer is what the script gets of a call: the headers as a table, and the body, nil
// when it is empty. A call that failed is answered by 503, as by Envoy's own client.
func (r *run) answer(resp *sdk.CallResponse, err *sdk.CallError, lists bool) (lua.LValue, lua.LValue) {
	l := r.m.state
	head := l.NewTable()
	if err != nil {
		status, text := lua.LString("503"), lua.LString("upstream failure")
		if err.Status != 0 {
			status, text = lua.LString(lua.LNumber(err.Status).String()), lua.LString(err.Text)
		}
		head.RawSetString(":status", status)
		return head, text
	}
	for name, value := range resp.Headers.All() {
		v := lua.LValue(lua.LString(strings.Clone(value)))
		name = strings.Clone(name)
		switch old := head.RawGetString(name).(type) {
		case lua.LString:
			if lists {
				list := l.NewTable()
				list.Append(old)
				list.Append(v)
				v = list
			}
		case *lua.LTable:
			old.Append(v)
			v = old
		}
		head.RawSetString(name, v)
	}
	if len(resp.Body) == 0 {
		return head, lua.LNil
	}
	return head, lua.LString(resp.Body)
}
