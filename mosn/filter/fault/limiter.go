package fault

import (
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// interval is how often Envoy lets some of a response go on.
const interval = 50 * time.Millisecond

// limiter slows a response down as Envoy does: it holds at most the bytes of a second,
// and begins with those of an interval.
type limiter struct {
	rate   uint64 // bytes a second; 0: it is off
	tokens uint64 // bytes that may go on now
	filled time.Duration
}

func (l *limiter) start(rate uint64, now time.Duration) {
	*l = limiter{rate: rate, tokens: rate / uint64(time.Second/interval), filled: now}
}

// release lets go on what may, and comes back for the rest.
func (l *limiter) release(s sdk.Stream) {
	now := s.Now()
	passed := min(now-l.filled, time.Second)
	l.tokens = min(l.tokens+uint64(passed.Seconds()*float64(l.rate)), l.rate)
	l.filled = now
	held := uint64(s.ResponseBody().Len())
	if held <= l.tokens {
		l.tokens -= held
		s.ResumeResponse()
		return
	}
	n := l.tokens
	l.tokens = 0
	s.After(interval, func() { l.release(s) })
	s.ReleaseResponse(int(n))
}
