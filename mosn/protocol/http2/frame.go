package http2

import (
	"encoding/binary"

	"sofamesh.io/sofamesh/sdk"
)

// clientPreface is what a client says first (RFC 9113, 3.4).
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	headerSize   = 9     // of a frame
	maxFrame     = 16384 // payload that we send and take at most; no peer may take less
	initialRoom  = 65535 // flow-control windows before any setting
	maxWindow    = 1<<31 - 1
	maxStreamID  = 1<<31 - 1
	settingSize  = 6
	prioritySize = 5
)

// frameType is the type of a frame (RFC 9113, 6).
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

// The flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// The settings (RFC 9113, 6.5.2; RFC 8441, 3).
const (
	settingTableSize      = 1
	settingEnablePush     = 2
	settingMaxStreams     = 3
	settingInitialWindow  = 4
	settingMaxFrame       = 5
	settingEnableConnect  = 8
	maxSettings           = 32 // entries of one frame; nghttp2 takes as many
	streamsBeforeSettings = 100
)

// errorCode is the code of a RST_STREAM or GOAWAY frame (RFC 9113, 7).
type errorCode uint32

const (
	codeNone errorCode = iota
	codeProtocol
	codeInternal
	codeFlowControl
	codeSettingsTimeout
	codeStreamClosed
	codeFrameSize
	codeRefused
	codeCancel
	codeCompression
	codeConnect
	codeCalm
)

// frame is a frame header.
type frame struct {
	length int
	stream uint32
	kind   frameType
	flags  uint8
}

func (f *frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parse reads a frame header, which is all there.
func (f *frame) parse(p []byte) {
	f.length = int(p[0])<<16 | int(p[1])<<8 | int(p[2])
	f.kind, f.flags = frameType(p[3]), p[4]
	f.stream = binary.BigEndian.Uint32(p[5:]) & maxStreamID
}

// put writes a frame header.
func (f *frame) put(p []byte) {
	_ = p[headerSize-1]
	p[0], p[1], p[2] = byte(f.length>>16), byte(f.length>>8), byte(f.length)
	p[3], p[4] = byte(f.kind), f.flags
	binary.BigEndian.PutUint32(p[5:], f.stream)
}

// append appends a frame header.
func (f frame) append(p []byte) []byte {
	var h [headerSize]byte
	f.put(h[:])
	return append(p, h[:]...)
}

// unpad takes the padding off a payload.
func (f *frame) unpad(p []byte) ([]byte, *fault) {
	if !f.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, errFrameSize
	}
	pad := int(p[0])
	if p = p[1:]; pad > len(p) {
		return nil, errPadding
	}
	return p[:len(p)-pad], nil
}

// word appends 32 bits.
func word(p []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(p, v) }

// codeOf says why a stream is reset. A request that is given up is cancelled; of a
// response that is broken off nobody must think that it is complete.
func codeOf(r sdk.ResetReason, side sdk.Side) errorCode {
	switch r {
	case sdk.ResetNone:
		return codeNone
	case sdk.ResetLocalRefused, sdk.ResetRefused:
		return codeRefused
	case sdk.ResetProtocol:
		return codeProtocol
	case sdk.ResetConnectError:
		return codeConnect
	}
	if side == sdk.Upstream {
		return codeCancel
	}
	return codeInternal
}

// reasonOf is what a reset of the peer means.
func reasonOf(c errorCode) sdk.ResetReason {
	switch c {
	case codeRefused:
		return sdk.ResetRefused
	case codeConnect:
		return sdk.ResetConnectError
	}
	return sdk.ResetRemote
}
