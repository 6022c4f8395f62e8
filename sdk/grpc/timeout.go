package grpc

import (
	"strconv"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// maxTimeout keeps sums with a time from overflowing: grpc-timeout can name 11,000
// years, which a time.Duration cannot.
const maxTimeout = 100 * 365 * 24 * time.Hour

// maxDigits is the most that a number in grpc-timeout may be.
const maxDigits = 99_999_999

// Timeout returns the value of grpc-timeout (at most eight digits and a unit), rounded
// up to milliseconds and at most a hundred years, or false when there is none or it is
// malformed.
func Timeout(h *sdk.Headers) (time.Duration, bool) {
	s := h.ID(sdk.HeaderGRPCTimeout)
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	n := time.Duration(0)
	for i := range len(s) - 1 {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + time.Duration(d)
	}
	switch s[len(s)-1] {
	case 'H':
		return min(n, maxTimeout/time.Hour) * time.Hour, true
	case 'M':
		return min(n, maxTimeout/time.Minute) * time.Minute, true
	case 'S':
		return n * time.Second, true
	case 'm':
		return n * time.Millisecond, true
	case 'u':
		return (n + 999) / 1000 * time.Millisecond, true
	case 'n':
		return (n + 999_999) / 1_000_000 * time.Millisecond, true
	}
	return 0, false
}

// SetTimeout sets grpc-timeout, in milliseconds if eight digits can hold them, else in
// the next unit that can, as Envoy does. A header that says as much already stays.
func SetTimeout(h *sdk.Headers, d time.Duration) {
	d = d.Truncate(time.Millisecond)
	if now, ok := Timeout(h); ok && now == d {
		return
	}
	n, unit := int64(d/time.Millisecond), byte('m')
	for _, up := range [...]struct {
		by   int64
		unit byte
	}{{1000, 'S'}, {60, 'M'}, {60, 'H'}} {
		if n > maxDigits {
			n, unit = n/up.by, up.unit
		}
	}
	var text [24]byte
	h.SetID(sdk.HeaderGRPCTimeout, string(append(strconv.AppendInt(text[:0], n, 10), unit)))
}
