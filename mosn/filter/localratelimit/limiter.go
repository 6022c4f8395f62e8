package localratelimit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/sdk"
)

// minInterval is the shortest fill_interval that Envoy takes.
const minInterval = 50 * time.Millisecond

// defaultDynamic is the default of max_dynamic_descriptors.
const defaultDynamic = 20

// spec is what limiters are made of.
type spec struct {
	bucket      bucketSpec
	deny        bool // the default bucket never has a token
	always      bool // it pays also for requests that have descriptors
	descriptors []descriptorSpec
	dynamic     int // the most buckets of one descriptor with wildcards
}

type bucketSpec struct {
	max, perFill uint32
	interval     time.Duration // 0: there is no bucket
	shadow       bool
}

type descriptorSpec struct {
	entries  []descriptor.Entry
	wildcard bool
	bucket   bucketSpec
}

func compileLimiter(c sdk.Compiler, pb *localv3.LocalRateLimit) (*spec, error) {
	s := &spec{
		always:  pb.GetAlwaysConsumeDefaultTokenBucket() == nil || pb.GetAlwaysConsumeDefaultTokenBucket().GetValue(),
		dynamic: defaultDynamic,
	}
	if n := pb.GetMaxDynamicDescriptors(); n != nil {
		s.dynamic = int(n.GetValue())
	}
	if tb := pb.GetTokenBucket(); tb != nil {
		s.bucket = specOf(tb)
		s.deny = s.bucket.max == 0
		if !s.deny && s.bucket.interval < minInterval {
			return nil, c.At("token_bucket.fill_interval").Errorf("must be at least %v", minInterval)
		}
	}
	seen := map[string]bool{}
	for i, pb := range pb.GetDescriptors() {
		c := c.At(fmt.Sprintf("descriptors[%d]", i))
		d, err := compileDescriptor(c, pb)
		if err != nil {
			return nil, err
		}
		key := string(appendKey(nil, d.entries))
		if seen[key] {
			return nil, c.Errorf("duplicate descriptor")
		}
		seen[key] = true
		s.descriptors = append(s.descriptors, d)
	}
	return s, nil
}

func compileDescriptor(c sdk.Compiler, pb *ratelimitv3.LocalRateLimitDescriptor) (descriptorSpec, error) {
	d := descriptorSpec{bucket: specOf(pb.GetTokenBucket())}
	d.bucket.shadow = pb.GetShadowMode()
	if d.bucket.max != 0 && d.bucket.interval < minInterval {
		return d, c.At("token_bucket.fill_interval").Errorf("must be at least %v", minInterval)
	}
	for _, e := range pb.GetEntries() {
		d.entries = append(d.entries, descriptor.Entry{Key: e.GetKey(), Value: e.GetValue()})
		d.wildcard = d.wildcard || e.GetValue() == ""
	}
	return d, nil
}

func specOf(pb *typev3.TokenBucket) bucketSpec {
	b := bucketSpec{max: pb.GetMaxTokens(), perFill: 1, interval: pb.GetFillInterval().AsDuration().Truncate(time.Millisecond)}
	if n := pb.GetTokensPerFill(); n != nil {
		b.perFill = n.GetValue()
	}
	return b
}

// bucket is one token bucket.
type bucket struct {
	*shared.TokenBucket
	shadow bool
}

func (s *bucketSpec) bucket() *bucket {
	return &bucket{shared.NewTokenBucket(s.max, s.perFill, max(s.interval, time.Millisecond)), s.shadow}
}

// reset returns the seconds until there is a token.
func (b *bucket) reset(now time.Duration) int64 {
	return int64((b.Next(now) + time.Second - 1) / time.Second)
}

// limiter is the buckets of the process, or of a connection.
type limiter struct {
	spec  *spec
	rest  *bucket            // of requests as such, nil when there is none or never a token
	fixed map[string]*bucket // by the key of a descriptor
	wild  []*wild            // in the order of the configuration
}

func (s *spec) limiter() *limiter {
	l := &limiter{spec: s, fixed: map[string]*bucket{}}
	if s.bucket.interval > 0 && !s.deny {
		l.rest = s.bucket.bucket()
	}
	for i := range s.descriptors {
		if d := &s.descriptors[i]; d.wildcard {
			l.wild = append(l.wild, &wild{spec: d, most: s.dynamic, buckets: map[string]*entry{}})
		} else {
			l.fixed[string(appendKey(nil, d.entries))] = d.bucket.bucket()
		}
	}
	return l
}

// verdict is what a limiter says of a request.
type verdict struct {
	allowed bool
	bucket  *bucket // that decided, or the scarcest of those that gave; nil for none
	headers descriptor.Headers
}

// scratch is what a judgement needs for a while.
type scratch struct {
	descriptor.List
	key     []byte
	matches []match
}

type match struct {
	bucket *bucket
	of     *descriptor.Descriptor
}

// scratchPool keeps scratches: a filter is shared by loops, which own none of it.
type scratchPool struct{ pool sync.Pool }

func (p *scratchPool) get() *scratch {
	if s, ok := p.pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{}
}

func (p *scratchPool) put(s *scratch) {
	clear(s.matches[:cap(s.matches)]) // it keeps no bucket alive
	p.pool.Put(s)
}

// judge takes the tokens of a request with the descriptors in s, which may be nil: of
// those that it matches, the one that fills most slowly first, and of the default. What
// was taken before one refuses is gone, as in Envoy. The refusal of a bucket in shadow
// mode counts when no other refuses.
func (l *limiter) judge(now time.Duration, s *scratch) verdict {
	v := verdict{allowed: true}
	if s != nil {
		l.find(s)
		for i, m := range s.matches {
			ok := true
			if m.of.Refill {
				m.bucket.Refill(now, float64(m.of.Hits))
			} else {
				ok = m.bucket.Take(now, float64(m.of.Hits))
			}
			switch {
			case !ok && !m.bucket.shadow:
				return verdict{false, m.bucket, m.of.Headers}
			case i == 0 || !ok && v.allowed:
				v = verdict{ok, m.bucket, m.of.Headers}
			}
		}
	}
	switch {
	case v.bucket != nil && !l.spec.always:
	case l.spec.deny:
		return verdict{}
	case l.rest != nil && !l.rest.Take(now, 1):
		return verdict{bucket: l.rest}
	case v.bucket == nil:
		v.bucket = l.rest
	}
	return v
}

// find looks the descriptors up.
func (l *limiter) find(s *scratch) {
	s.matches = s.matches[:0]
	for i := range s.Descriptors {
		d := &s.Descriptors[i]
		s.key = appendKey(s.key[:0], d.Entries)
		b := l.fixed[string(s.key)]
		for j := 0; b == nil && j < len(l.wild); j++ {
			b = l.wild[j].find(s.key, d.Entries)
		}
		if b != nil {
			s.matches = append(s.matches, match{b, d})
		}
	}
	slices.SortStableFunc(s.matches, func(a, b match) int {
		switch x, y := a.bucket.Rate(), b.bucket.Rate(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}

// appendKey appends what tells descriptors apart.
func appendKey(dst []byte, entries []descriptor.Entry) []byte {
	for _, e := range entries {
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Key))), e.Key...)
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Value))), e.Value...)
	}
	return dst
}

// wild is a descriptor with wildcards: each combination of values has a bucket, and only
// those used last are kept.
type wild struct {
	spec *descriptorSpec
	most int

	mu      sync.Mutex
	buckets map[string]*entry
	newest  *entry
	oldest  *entry
}

// entry is a bucket in the order of use.
type entry struct {
	key          string
	bucket       *bucket
	newer, older *entry
}

// find returns the bucket of a descriptor with that key, nil when it does not match.
func (w *wild) find(key []byte, entries []descriptor.Entry) *bucket {
	if !w.matches(entries) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.buckets[string(key)]
	switch {
	case e == nil:
		e = &entry{key: string(key), bucket: w.spec.bucket.bucket()}
		w.buckets[e.key] = e
		w.use(e)
		if len(w.buckets) > w.most {
			old := w.oldest
			w.remove(old)
			delete(w.buckets, old.key)
		}
	case e != w.newest:
		w.remove(e)
		w.use(e)
	}
	return e.bucket
}

func (w *wild) matches(entries []descriptor.Entry) bool {
	return slices.EqualFunc(w.spec.entries, entries, func(want, got descriptor.Entry) bool {
		return want.Key == got.Key && (want.Value == "" || want.Value == got.Value)
	})
}

func (w *wild) use(e *entry) {
	e.older, e.newer = w.newest, nil
	if w.newest != nil {
		w.newest.newer = e
	} else {
		w.oldest = e
	}
	w.newest = e
}

func (w *wild) remove(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		w.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		w.oldest = e.newer
	}
}
