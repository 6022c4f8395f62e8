package shared

import (
	"math"
	"sync/atomic"
	"time"
)

// TokenBucket is Envoy's token bucket that all loops take from: it holds at most max
// tokens, gains some every second, and begins full. Tokens come continuously, not once
// an interval.
//
// All of its state is one number, the time at which the bucket would have been empty
// had it only gained since: what it holds is what came after. Times are those of any
// one monotonic clock; that loops read it once a turn does no harm.
type TokenBucket struct {
	_     [line - 8]byte
	empty atomic.Uint64 // a float64: seconds
	_     [line - 8]byte

	max  float64
	rate float64 // tokens a second
}

// minRate is Envoy's: a token a year.
const minRate = 1.0 / (366 * 24 * 60 * 60)

// nearly makes up for rounding: what is short of a token by so little is one. What was
// given too early is owed, so the rate stays as it is.
const nearly = 1e-3

// NewTokenBucket returns a full bucket that gains perFill tokens in an interval.
func NewTokenBucket(maxTokens, perFill uint32, interval time.Duration) *TokenBucket {
	b := &TokenBucket{max: float64(maxTokens), rate: max(float64(perFill)/interval.Seconds(), minRate)}
	b.empty.Store(math.Float64bits(math.Inf(-1)))
	return b
}

// Max returns the most tokens that the bucket holds.
func (b *TokenBucket) Max() uint32 { return uint32(b.max) }

// Rate returns the tokens that it gains a second.
func (b *TokenBucket) Rate() float64 { return b.rate }

// Take takes n tokens, all or none. It never waits.
func (b *TokenBucket) Take(now time.Duration, n float64) bool {
	for {
		old := b.empty.Load()
		held := b.held(now, old)
		if held < n-nearly {
			return false
		}
		if b.set(now, old, held-n) {
			return true
		}
	}
}

// Refill puts n tokens back, as far as they fit.
func (b *TokenBucket) Refill(now time.Duration, n float64) {
	for {
		old := b.empty.Load()
		if b.set(now, old, min(b.held(now, old)+n, b.max)) {
			return
		}
	}
}

// set has the bucket hold so many tokens now, unless another loop has changed it.
func (b *TokenBucket) set(now time.Duration, old uint64, held float64) bool {
	return b.empty.CompareAndSwap(old, math.Float64bits(now.Seconds()-held/b.rate))
}

func (b *TokenBucket) held(now time.Duration, empty uint64) float64 {
	return min(b.max, (now.Seconds()-math.Float64frombits(empty))*b.rate)
}

// Held returns the whole tokens in the bucket.
func (b *TokenBucket) Held(now time.Duration) uint32 {
	return uint32(max(b.held(now, b.empty.Load())+nearly, 0))
}

// Next returns how long it takes until there is a whole token.
func (b *TokenBucket) Next(now time.Duration) time.Duration {
	short := 1 - b.held(now, b.empty.Load())
	if short <= nearly {
		return 0
	}
	return time.Duration(math.Ceil(short/b.rate*1e3-nearly)) * time.Millisecond
}
