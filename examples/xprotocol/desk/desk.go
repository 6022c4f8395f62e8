// Package desk is a codec of the medium level: it also shows what a call is for. A
// frame of the protocol, in versions 1 and 2, is
//
//	 0   2  0xde5c
//	 2   1  version: 1 or 2; an answer has that of its question
//	 3   1  kind: see the constants
//	 4   8  id
//	12   4  request: how long the caller waits, in ms, 0 if it does not say; response: status
//	16   2  length of the texts
//	18   4  length of the body
//	22      the texts, each with its length in 2 bytes before it: of a request service,
//	        method, and in version 2 group; then of any frame names and values of headers
//	        the body
//
// The proxy's loops call the functions.
package desk

import (
	"encoding/binary"
	"errors"
	"time"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/framecodec"
)

const (
	magic    = 0xde5c
	headSize = 22 // without the texts

	kindRequest  = 1
	kindResponse = 2
	kindOneWay   = 3
	kindPing     = 4
	kindPong     = 5
	kindBye      = 6 // a server's: no further requests, please

	statusOK      = 0
	statusFailed  = 1
	statusUnknown = 2 // no such service
	statusBusy    = 3
	statusTimeout = 4

	errorName = "error" // the header that says what went wrong
)

// Codec returns the codec.
func Codec() *sdk.Codec {
	return framecodec.New(framecodec.Protocol{
		Name: "desk", Level: sdk.Medium, Mode: sdk.Multiplexed, IDBits: 64,
		Limits: framecodec.Limits{Frame: 64 << 20, Headers: 200},
		Match:  match, Cut: cut, Read: read, SetID: setID, SetTimeout: setTimeout, Reply: reply,
		Heartbeat:      func(dst []byte, id uint64) []byte { return appendHead(dst, 1, kindPing, id, 0, 0, 0) },
		HeartbeatReply: func(dst, head []byte) []byte { return appendHead(dst, head[2], kindPong, idOf(head), 0, 0, 0) },
		GoAway:         func(dst []byte) []byte { return appendHead(dst, 1, kindBye, 0, 0, 0, 0) },
	})
}

// match says no as soon as it can, so that nobody has to wait.
func match(p []byte) sdk.Verdict {
	switch {
	case len(p) > 0 && p[0] != magic>>8, len(p) > 1 && p[1] != magic&0xff,
		len(p) > 2 && p[2] != 1 && p[2] != 2,
		len(p) > 3 && p[3] != kindRequest && p[3] != kindOneWay && p[3] != kindPing:
		return sdk.NoMatch
	case len(p) < 4:
		return sdk.NeedMore
	}
	return sdk.Matched
}

func cut(in []byte) (head, size int, err error) {
	switch {
	case len(in) < headSize:
		return 0, 0, nil
	case binary.BigEndian.Uint16(in) != magic:
		return 0, 0, errors.New("no frame begins here")
	}
	head = headSize + int(binary.BigEndian.Uint16(in[16:]))
	return head, head + int(binary.BigEndian.Uint32(in[18:])), nil
}

func read(head []byte, f *framecodec.Frame) error {
	f.ID, f.Keep = idOf(head), uint64(head[2])
	number := binary.BigEndian.Uint32(head[12:])
	t := texts{rest: head[headSize:]}
	switch head[3] {
	case kindRequest, kindOneWay:
		f.Kind = framecodec.Request
		if head[3] == kindOneWay {
			f.Kind = framecodec.OneWay
		}
		f.Timeout = time.Duration(number) * time.Millisecond
		f.Service, f.Method = t.next(), t.next()
		if head[2] == 2 {
			f.Group = t.next()
		}
	case kindResponse:
		f.Kind, f.Status = framecodec.Response, shown(number)
	case kindPing:
		f.Kind = framecodec.Heartbeat
	case kindPong:
		f.Kind = framecodec.HeartbeatReply
	case kindBye:
		f.Kind = framecodec.GoAway
	}
	for len(t.rest) > 0 {
		name := t.next()
		f.AddHeader(name, t.next())
	}
	if t.broken {
		return framecodec.Refuse("the texts are longer than their place")
	}
	return nil
}

// texts reads what stands between head and body.
type texts struct {
	rest   []byte
	broken bool
}

func (t *texts) next() []byte {
	if len(t.rest) < 2 || len(t.rest)-2 < int(binary.BigEndian.Uint16(t.rest)) {
		t.rest, t.broken = nil, true
		return nil
	}
	end := 2 + int(binary.BigEndian.Uint16(t.rest))
	text := t.rest[2:end]
	t.rest = t.rest[end:]
	return text
}

// shown is a status as HTTP would say it, which is what retry policies, outlier
// detection and logs go by.
func shown(status uint32) int {
	switch status {
	case statusOK:
		return 200
	case statusUnknown:
		return 404
	case statusBusy:
		return 503
	case statusTimeout:
		return 504
	}
	return 500
}

// reply is the proxy's own answer: the text is the body, or the header error, as
// servers do it.
func reply(dst []byte, to framecodec.Asked, status int, text string) []byte {
	code := uint32(statusFailed)
	switch status {
	case 200:
		return append(appendHead(dst, byte(to.Keep), kindResponse, to.ID, statusOK, 0, len(text)), text...)
	case 404:
		code = statusUnknown
	case 429, 503:
		code = statusBusy
	case 408, 504:
		code = statusTimeout
	}
	text = text[:min(len(text), 1000)]
	dst = appendHead(dst, byte(to.Keep), kindResponse, to.ID, code, 2+len(errorName)+2+len(text), 0)
	return appendText(appendText(dst, errorName), text)
}

func appendHead(dst []byte, version, kind byte, id uint64, number uint32, texts, body int) []byte {
	dst = append(binary.BigEndian.AppendUint16(dst, magic), version, kind)
	dst = binary.BigEndian.AppendUint64(dst, id)
	dst = binary.BigEndian.AppendUint32(dst, number)
	dst = binary.BigEndian.AppendUint16(dst, uint16(texts))
	return binary.BigEndian.AppendUint32(dst, uint32(body))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func idOf(head []byte) uint64 { return binary.BigEndian.Uint64(head[4:]) }

func setID(head []byte, id uint64) { binary.BigEndian.PutUint64(head[4:], id) }

// setTimeout rounds up: 0 would mean that the caller does not say.
func setTimeout(head []byte, left time.Duration) {
	binary.BigEndian.PutUint32(head[12:], uint32(min((left+time.Millisecond-1)/time.Millisecond, 1<<32-1)))
}
