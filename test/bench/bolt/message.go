//go:build linux

package bolt

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// ContentBytes is the length of the content of requests and answers.
const ContentBytes = 1024

const (
	app     = "bench-client"
	service = "test.bench.Echo:1.0"
	method  = "echo"
)

// Mark tells one call from all others. A request carries it in its trace id and at the start of its argument, its answer at the start
// of the result.
type Mark [16]byte

const noMark = "________________" // stands for the mark in a message that is being made

// NewMark writes n in hexadecimal.
func NewMark(n uint64) (m Mark) {
	for i := len(m) - 1; i >= 0; i-- {
		m[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return m
}

// Message is a frame that is sent many times, each time with another id and mark.
type Message struct {
	frame   []byte
	content int   // where it begins
	marks   []int // where the marks are
}

func newMessage(frame []byte) *Message {
	f, _ := Parse(frame)
	m := &Message{frame: frame, content: f.Content}
	for at := 0; ; {
		i := bytes.Index(frame[at:], []byte(noMark))
		if i < 0 {
			return m
		}
		m.marks = append(m.marks, at+i)
		at += i + len(noMark)
	}
}

// NewRequest is a call of a method that takes a string and returns one, as SOFARPC's Java client sends it.
func NewRequest() *Message {
	c := call{app: app, service: service, method: method, trace: "7f000001" + noMark + "004242"}
	c.argument = filler(ContentBytes - len(c.content()))
	return newMessage(c.frame())
}

// NewAnswer is what SOFARPC's Java server answers.
func NewAnswer() *Message {
	return newMessage(answer(filler(ContentBytes - len(answerContent("")))))
}

// filler is a marked string that is n bytes longer than the empty one when written.
func filler(n int) string {
	n -= len(appendString(nil, strings.Repeat("x", n))) - n - 1
	return noMark + strings.Repeat("x", n-len(noMark))
}

// Append writes the message to out.
func (m *Message) Append(out []byte, id uint32, mark Mark) []byte {
	at := len(out)
	out = append(out, m.frame...)
	frame := out[at:]
	SetID(frame, id)
	for _, i := range m.marks {
		copy(frame[i:], mark[:])
	}
	return out
}

// Match tells whether content is that of this message, whole and with one mark throughout, and gives the mark.
func (m *Message) Match(content []byte) (mark Mark, ok bool) {
	want := m.frame[m.content:]
	if len(content) != len(want) {
		return mark, false
	}
	at, first := 0, true
	for _, i := range m.marks {
		if i -= m.content; i < 0 {
			continue // in the headers
		}
		if first {
			copy(mark[:], content[i:])
			first = false
		} else if !bytes.Equal(mark[:], content[i:i+len(mark)]) {
			return mark, false
		}
		if !bytes.Equal(content[at:i], want[at:i]) {
			return mark, false
		}
		at = i + len(mark)
	}
	return mark, bytes.Equal(content[at:], want[at:])
}

// call is what a Java client says of a call. Content and headers repeat each other in part; the order is that of its hash maps.
type call struct{ app, service, method, trace, argument string }

func (c call) headers() []byte {
	var out []byte
	for _, s := range []string{
		"sofa_head_target_service", c.service, "app", c.app, "rpc_trace_context.sofaRpcId", "0", "protocol", "bolt",
		"rpc_trace_context.samp", "true", "rpc_trace_context.sofaTraceId", c.trace, "service", c.service,
		"rpc_trace_context.sysPenAttrs", "", "rpc_trace_context.sofaPenAttrs", "", "sofa_head_method_name", c.method, "type", "sync",
	} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
		out = append(out, s...)
	}
	return out
}

// content is a SofaRequest and the argument behind it, in the draft of Hessian 2 that SOFARPC speaks.
func (c call) content() []byte {
	out := appendClass(nil, requestClass, "targetAppName", "methodName", "targetServiceUniqueName", "requestProps", "methodArgSigs")
	out = append(out, 'N')
	out = appendStrings(out, c.method, c.service)
	out = appendStrings(append(out, 'M'), "app", c.app, "protocol", "bolt", "rpc_trace_context")
	out = appendStrings(append(out, 'M'), "sofaRpcId", "0", "samp", "true", "sysPenAttrs", "", "sofaTraceId", c.trace, "sofaPenAttrs", "")
	out = append(appendStrings(append(out, 'z'), "type", "sync"), 'z')
	out = append(out, "Vt\x00\x07[stringn\x01"...)
	out = append(appendString(out, "java.lang.String"), 'z')
	return appendString(out, c.argument)
}

func (c call) frame() []byte {
	headers, content := c.headers(), c.content()
	out := []byte{version, KindRequest, 0, CommandRequest, 1, 0, 0, 0, 0, 1}
	out = binary.BigEndian.AppendUint32(out, 3000) // its timeout, ms
	return appendRest(out, requestClass, headers, content)
}

// answerContent is a SofaResponse.
func answerContent(result string) []byte {
	out := appendClass(nil, answerClass, "isError", "errorMsg", "appResponse", "responseProps")
	out = appendString(append(out, 'F', 'N'), result)
	return append(out, 'N')
}

func answer(result string) []byte {
	out := []byte{version, KindAnswer, 0, CommandAnswer, 1, 0, 0, 0, 0, 1, 0, 0}
	return appendRest(out, answerClass, nil, answerContent(result))
}

const (
	requestClass = "com.alipay.sofa.rpc.core.request.SofaRequest"
	answerClass  = "com.alipay.sofa.rpc.core.response.SofaResponse"
)

func appendRest(out []byte, class string, headers, content []byte) []byte {
	out = binary.BigEndian.AppendUint16(out, uint16(len(class)))
	out = binary.BigEndian.AppendUint16(out, uint16(len(headers)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(content)))
	return append(append(append(out, class...), headers...), content...)
}

// appendClass writes a class definition and the start of an object of it.
func appendClass(out []byte, name string, fields ...string) []byte {
	out = append(out, 'O', byte(0x90+len(name))) // an integer of one byte
	out = append(out, name...)
	out = append(out, byte(0x90+len(fields)))
	return append(appendStrings(out, fields...), 'o', 0x90)
}

func appendStrings(out []byte, all ...string) []byte {
	for _, s := range all {
		out = appendString(out, s)
	}
	return out
}

// appendString writes an ASCII string, short or in one chunk.
func appendString(out []byte, s string) []byte {
	if len(s) < 32 {
		out = append(out, byte(len(s)))
	} else {
		out = binary.BigEndian.AppendUint16(append(out, 'S'), uint16(len(s)))
	}
	return append(out, s...)
}
