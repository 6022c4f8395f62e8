package trace

import (
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// Sampling is which requests are traced: a share of those whose client wants it, a share
// of all others, and of both together no more than a share.
type Sampling struct{ Client, Random, Overall runtime.Fraction }

// SetKeys sets the runtime keys that override the shares.
func (s *Sampling) SetKeys() {
	s.Client.Key, s.Random.Key, s.Overall.Key = "tracing.client_enabled", "tracing.random_sampling", "tracing.global_enabled"
}

// Reason is why a request is traced, or is not, as Envoy counts it.
type Reason uint8

// The reasons.
const (
	NotTraceable Reason = iota
	HealthCheck
	Sampled
	ServiceForced
	ClientForced

	NumReasons
)

// Traced reports whether the reason is one to trace.
func (r Reason) Traced() bool { return r >= Sampled }

// digitAt is where in a request id, a UUID, the digit stands that tells why the request is
// traced: the version, which is 4 for those that are not.
const digitAt = 14

const idSize = 36

// ReasonOf is what a request id tells.
func ReasonOf(id string) Reason {
	if len(id) != idSize {
		return NotTraceable
	}
	switch id[digitAt] {
	case '9':
		return Sampled
	case 'a':
		return ServiceForced
	case 'b':
		return ClientForced
	}
	return NotTraceable
}

// SetReason makes the request's id tell why it is traced, unless it is not a UUID.
func SetReason(h *sdk.Headers, r Reason) {
	id := h.ID(sdk.HeaderRequestID)
	if len(id) != idSize {
		return
	}
	digit := byte('4')
	switch r {
	case Sampled:
		digit = '9'
	case ServiceForced:
		digit = 'a'
	case ClientForced:
		digit = 'b'
	}
	if id[digitAt] == digit {
		return
	}
	var b [idSize]byte
	copy(b[:], id)
	b[digitAt] = digit
	h.SetID(sdk.HeaderRequestID, str(b[:]))
}

// RandomOf is the number by which all hops of a request with an id draw alike.
func RandomOf(id string) (n uint64, ok bool) {
	if len(id) < 8 {
		return 0, false
	}
	n, ok = ParseHex(id[:8])
	return n % 10000, ok
}

// CompileName compiles a format that names a span; "" gives nil.
func CompileName(c sdk.Compiler, text string) (*format.Format, error) {
	if text == "" {
		return nil, nil
	}
	f, err := format.ParseOmitting(text)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	return f, nil
}
