package format

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// point is a moment in the life of a stream.
type point uint8

const (
	requestBegin point = iota
	requestEnd
	upstreamRequestBegin
	upstreamRequestEnd
	upstreamResponseBegin
	upstreamResponseEnd
	responseBegin
	responseEnd
	upstreamConnectBegin
	upstreamConnectEnd
	upstreamBodyBegin
	never // a moment that TLS has, or that somebody's extension would have to set
)

// points are Envoy's names of the moments that COMMON_DURATION takes.
var points = map[string]point{
	"DS_RX_BEG": requestBegin,
	"DS_RX_END": requestEnd,
	"US_TX_BEG": upstreamRequestBegin,
	"US_TX_END": upstreamRequestEnd,
	"US_RX_BEG": upstreamResponseBegin,
	"US_RX_END": upstreamResponseEnd,
	"DS_TX_BEG": responseBegin,
	"DS_TX_END": responseEnd,

	"US_CX_BEG":      upstreamConnectBegin,
	"US_CX_END":      upstreamConnectEnd,
	"US_RX_BODY_BEG": upstreamBodyBegin,
}

const millisecond = 1e6

// parseDuration parses "BEGIN:END:unit".
func (p *part) parseDuration(args string) error {
	names := strings.Split(args, ":")
	if len(names) != 3 {
		return fmt.Errorf("%q is not BEGIN:END:unit", args)
	}
	for i := range p.between {
		at, ok := points[names[i]]
		if !ok {
			at = never
		}
		p.between[i] = at
	}
	switch names[2] {
	case "ms":
		p.unit = millisecond
	case "us":
		p.unit = 1e3
	case "ns":
		p.unit = 1
	default:
		return fmt.Errorf("%q is not ms, us or ns", names[2])
	}
	return nil
}

// duration returns the two moments that an operator is about.
func (p *part) duration(info *sdk.StreamInfo) (from, to, unit int64, ok bool) {
	switch p.op {
	case opDuration:
		return info.Start, cmp.Or(info.End, info.Logged), millisecond, true
	case opRequestDuration:
		return info.Start, info.RequestEnd, millisecond, true
	case opRequestTxDuration:
		return info.Start, info.UpstreamRequestEnd, millisecond, true
	case opResponseDuration:
		return info.Start, info.UpstreamResponse, millisecond, true
	case opResponseTxDuration:
		return info.UpstreamResponse, info.End, millisecond, true
	case opPoolReady:
		return info.UpstreamAttempt, info.UpstreamReady, millisecond, true
	case opCommonDuration:
		return moment(info, p.between[0]), moment(info, p.between[1]), p.unit, true
	}
	return 0, 0, 0, false
}

func moment(info *sdk.StreamInfo, at point) int64 {
	switch at {
	case requestBegin:
		return info.Start
	case requestEnd:
		return info.RequestEnd
	case upstreamRequestBegin:
		return info.UpstreamRequest
	case upstreamRequestEnd:
		return info.UpstreamRequestEnd
	case upstreamResponseBegin:
		return info.UpstreamResponse
	case upstreamResponseEnd:
		return info.UpstreamEnd
	case responseBegin:
		return info.ResponseStart
	case responseEnd:
		return info.End
	case upstreamConnectBegin:
		return info.UpstreamConnect
	case upstreamConnectEnd:
		return info.UpstreamConnected
	case upstreamBodyBegin:
		return info.UpstreamBody
	}
	return 0
}

// appendDuration appends whole units; a moment that has not come makes the duration
// missing.
func appendDuration(dst []byte, from, to, unit int64) ([]byte, kind) {
	if from == 0 || to == 0 || to < from {
		return dst, missing
	}
	return strconv.AppendInt(dst, (to-from)/unit, 10), number
}
