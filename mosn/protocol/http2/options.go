package http2

import (
	"encoding/binary"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/protocol/http2/hpack"
	"sofamesh.io/sofamesh/sdk"
)

// Envoy's defaults since 1.36.
const (
	defaultStreams         = 1024
	defaultWindow          = 16 << 20
	defaultConnWindow      = 24 << 20
	defaultOutbound        = 10_000
	defaultControls        = 1000
	defaultEmpty           = 1
	defaultPriorities      = 100
	defaultUpdates         = 10
	defaultResetBurst      = 1000
	defaultResetsPerSecond = 33
)

// Toward a host, where many clients share a connection, a stream's window is small at
// first (that of the protocol) unless it is configured: what a client does not read has
// to be kept. It grows up to Envoy's for those who read.

// The ranges of what has one.
const (
	maxTableSize = 1 << 20 // stricter: Envoy takes any number of 32 bits
	maxLimit     = 1<<31 - 1
)

// number is a field of the options that is a number.
type number struct {
	name     string
	value    *wrapperspb.UInt32Value
	to       *int
	unset    int
	min, max int
}

func (c *config) options(comp sdk.Compiler, pb *corev3.Http2ProtocolOptions, streamErrors bool) error {
	for _, n := range []number{
		{"hpack_table_size", pb.GetHpackTableSize(), &c.tableSize, hpack.DefaultTableSize, 0, maxTableSize},
		{"max_concurrent_streams", pb.GetMaxConcurrentStreams(), &c.maxStreams, defaultStreams, 1, maxLimit},
		{"initial_stream_window_size", pb.GetInitialStreamWindowSize(), &c.window, defaultWindow, initialRoom, maxWindow},
		{"initial_connection_window_size", pb.GetInitialConnectionWindowSize(), &c.connWindow, defaultConnWindow, initialRoom, maxWindow},
		{"max_outbound_frames", pb.GetMaxOutboundFrames(), &c.maxOutbound, defaultOutbound, 1, maxLimit},
		{"max_outbound_control_frames", pb.GetMaxOutboundControlFrames(), &c.maxControls, defaultControls, 1, maxLimit},
		{"max_consecutive_inbound_frames_with_empty_payload", pb.GetMaxConsecutiveInboundFramesWithEmptyPayload(), &c.maxEmpty, defaultEmpty, 0, maxLimit},
		{"max_inbound_priority_frames_per_stream", pb.GetMaxInboundPriorityFramesPerStream(), &c.maxPriorities, defaultPriorities, 0, maxLimit},
		{"max_inbound_window_update_frames_per_data_frame_sent", pb.GetMaxInboundWindowUpdateFramesPerDataFrameSent(), &c.maxUpdates, defaultUpdates, 1, maxLimit},
	} {
		*n.to = n.unset
		if n.value == nil {
			continue
		}
		v := int(n.value.GetValue())
		if v < n.min || v > n.max {
			return comp.At(n.name).Errorf("%d is not between %d and %d", v, n.min, n.max)
		}
		*n.to = v
	}
	c.resetBurst, c.resetsPerSecond = defaultResetBurst, defaultResetsPerSecond
	if v := pb.GetStreamResetBurst(); v != nil {
		c.resetBurst = int(min(v.GetValue(), maxLimit))
	}
	if v := pb.GetStreamResetRate(); v != nil {
		c.resetsPerSecond = int(min(v.GetValue(), maxLimit))
	}
	if pb.GetAllowMetadata() {
		return comp.At("allow_metadata").Errorf("METADATA frames are not supported")
	}
	c.allowConnect = pb.GetAllowConnect()
	//lint:ignore SA1019 deprecated, and in configurations all the same
	c.streamErrors = streamErrors || pb.GetStreamErrorOnInvalidHttpMessaging()
	if v := pb.GetOverrideStreamErrorOnInvalidHttpMessage(); v != nil {
		c.streamErrors = v.GetValue()
	}
	if v := pb.GetEnableHuffmanEncoding(); v != nil {
		c.huffman = hpack.HuffmanNever
		if v.GetValue() {
			c.huffman = hpack.HuffmanAlways
		}
	}
	return c.announce(comp, pb)
}

// announce compiles what the SETTINGS frame says.
func (c *config) announce(comp sdk.Compiler, pb *corev3.Http2ProtocolOptions) error {
	named := map[uint16]bool{
		settingTableSize:     pb.GetHpackTableSize() != nil,
		settingMaxStreams:    pb.GetMaxConcurrentStreams() != nil,
		settingInitialWindow: pb.GetInitialStreamWindowSize() != nil,
	}
	values := map[uint16]uint32{}
	for i, s := range pb.GetCustomSettingsParameters() {
		comp := comp.At("custom_settings_parameters[" + strconv.Itoa(i) + "]")
		if s.GetIdentifier().GetValue() > 1<<16-1 {
			return comp.At("identifier").Errorf("%d is no number of 16 bits", s.GetIdentifier().GetValue())
		}
		id, value := uint16(s.GetIdentifier().GetValue()), s.GetValue().GetValue()
		switch id {
		case settingEnablePush, settingEnableConnect, settingMaxFrame:
			return comp.At("identifier").Errorf("the setting %#x cannot be configured here", id)
		}
		if old, twice := values[id]; named[id] || twice && old != value {
			return comp.At("identifier").Errorf("the setting %#x has two values", id)
		}
		if err := c.custom(comp.At("value"), id, value); err != nil {
			return err
		}
		if _, twice := values[id]; !twice && (id == 0 || id > settingInitialWindow) {
			c.settings = append(c.settings, setting{id, value})
		}
		values[id] = value
	}
	c.firstWindow = c.window
	if _, custom := values[settingInitialWindow]; c.side == sdk.Upstream && !custom && !named[settingInitialWindow] {
		c.firstWindow = min(initialRoom, c.window)
	}
	if c.side == sdk.Upstream {
		c.settings = append(c.settings, setting{settingEnablePush, 0})
	} else if c.allowConnect {
		c.settings = append(c.settings, setting{settingEnableConnect, 1})
	}
	c.settings = append(c.settings,
		setting{settingTableSize, uint32(c.tableSize)},
		setting{settingMaxStreams, uint32(c.maxStreams)},
		setting{settingInitialWindow, uint32(c.firstWindow)})
	return nil
}

// custom takes a custom parameter that has a field of its own.
func (c *config) custom(comp sdk.Compiler, id uint16, value uint32) error {
	v := int(value)
	switch id {
	case settingTableSize:
		if v > maxTableSize {
			return comp.Errorf("%d is over %d", v, maxTableSize)
		}
		c.tableSize = v
	case settingMaxStreams:
		if v < 1 || v > maxLimit {
			return comp.Errorf("%d is not between 1 and %d", v, maxLimit)
		}
		c.maxStreams = v
	case settingInitialWindow:
		if v < initialRoom || v > maxWindow {
			return comp.Errorf("%d is not between %d and %d", v, initialRoom, maxWindow)
		}
		c.window = v
	}
	return nil
}

// hello appends what this side says first: the client's preface, SETTINGS, and the
// window of the connection.
func (c *config) hello(p []byte) []byte {
	if c.side == sdk.Upstream {
		p = append(p, clientPreface...)
	}
	p = frame{length: settingSize * len(c.settings), kind: frameSettings}.append(p)
	for _, s := range c.settings {
		p = word(binary.BigEndian.AppendUint16(p, s.id), s.value)
	}
	if more := c.connWindow - initialRoom; more > 0 {
		p = word(frame{length: 4, kind: frameWindowUpdate}.append(p), uint32(more))
	}
	return p
}
