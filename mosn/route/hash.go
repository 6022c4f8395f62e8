package route

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// HashPolicies is the compiled hash_policy of a route: what a load balancer that
// hashes (ring hash, Maglev) hashes.
type HashPolicies []hashPolicy

type hashKind uint8

const (
	hashHeader hashKind = iota
	hashCookie
	hashSource
	hashQuery
)

type hashPolicy struct {
	kind     hashKind
	terminal bool
	name     string            // of the header, cookie or parameter
	rewrite  *match.Substitute // of a header's value
	cookie   *hashCookieSpec   // how to make a missing cookie, nil when it is not made
}

// hashCookieSpec is the part of a set-cookie header around the value.
type hashCookieSpec struct{ before, after string }

// HashInput is what the policies look at. The caller keeps one and reuses it.
type HashInput struct {
	Headers *sdk.Headers
	Info    *sdk.StreamInfo // for the addresses
	// Sum is xxHash64 with a seed, as Envoy hashes; lb.HashSeed.
	Sum     func(s string, seed uint64) uint64
	Scratch *Scratch
}

// HashResult is what Hash found.
type HashResult struct {
	Hash uint64
	OK   bool // false: no policy had anything to hash; Hash is 0

	cookies uint32 // a bit for each policy whose cookie the client must get
	value   uint64 // of those cookies
}

// maxHashPolicies is bounded by HashResult.cookies.
const maxHashPolicies = 32

func compileHash(c sdk.Compiler, pbs []*routev3.RouteAction_HashPolicy) (HashPolicies, error) {
	if len(pbs) > maxHashPolicies {
		return nil, c.At("hash_policy").Errorf("has more than %d elements", maxHashPolicies)
	}
	var list HashPolicies
	for i, pb := range pbs {
		p, err := compileHashPolicy(c.At(element("hash_policy", i)), pb)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func compileHashPolicy(c sdk.Compiler, pb *routev3.RouteAction_HashPolicy) (hashPolicy, error) {
	p := hashPolicy{terminal: pb.GetTerminal()}
	switch s := pb.GetPolicySpecifier().(type) {
	case *routev3.RouteAction_HashPolicy_Header_:
		p.kind, p.name = hashHeader, match.HeaderName(s.Header.GetHeaderName())
		if rw := s.Header.GetRegexRewrite(); rw != nil {
			var err error
			p.rewrite, err = match.CompileSubstitute(c.At("header.regex_rewrite"), rw)
			return p, err
		}
	case *routev3.RouteAction_HashPolicy_Cookie_:
		p.kind, p.name, p.cookie = hashCookie, s.Cookie.GetName(), compileCookie(s.Cookie)
	case *routev3.RouteAction_HashPolicy_ConnectionProperties_:
		if !s.ConnectionProperties.GetSourceIp() {
			return p, c.At("connection_properties").Errorf("names no property")
		}
		p.kind = hashSource
	case *routev3.RouteAction_HashPolicy_QueryParameter_:
		p.kind, p.name = hashQuery, s.QueryParameter.GetName()
	default:
		return p, c.Errorf("%T is not supported", s)
	}
	return p, nil
}

// compileCookie returns nil for a cookie without ttl, which is never made. One with
// a ttl under a second is a session cookie.
func compileCookie(pb *routev3.RouteAction_HashPolicy_Cookie) *hashCookieSpec {
	if pb.GetTtl() == nil {
		return nil
	}
	var after strings.Builder
	if age := int64(pb.GetTtl().AsDuration() / time.Second); age > 0 {
		after.WriteString("; Max-Age=" + strconv.FormatInt(age, 10))
	}
	if pb.GetPath() != "" {
		after.WriteString("; Path=" + pb.GetPath())
	}
	for _, a := range pb.GetAttributes() {
		after.WriteString("; " + a.GetName())
		if a.GetValue() != "" {
			after.WriteString("=" + a.GetValue())
		}
	}
	after.WriteString("; HttpOnly")
	return &hashCookieSpec{before: pb.GetName() + `="`, after: `"` + after.String()}
}

// Hash combines what the policies find, in their order, up to a terminal one.
func (l HashPolicies) Hash(in *HashInput) HashResult {
	var r HashResult
	for i := range l {
		p := &l[i]
		hash, ok := p.hash(in)
		if !ok && p.cookie != nil {
			// A cookie that the client does not have yet: it gets one, and is balanced as if
			// it had sent it.
			r.cookies |= 1 << i
			if r.value == 0 {
				r.value = newCookie(in)
			}
			hash, ok = in.Sum(view(appendHex(in.Scratch.buf[:0], r.value)), 0), true
		}
		if ok {
			// Rotated, so that equal parts do not cancel each other out.
			r.Hash = bits.RotateLeft64(r.Hash, 1) ^ hash
			r.OK = true
		}
		if p.terminal && r.OK {
			break
		}
	}
	return r
}

func (p *hashPolicy) hash(in *HashInput) (uint64, bool) {
	switch p.kind {
	case hashHeader:
		return p.hashHeader(in)
	case hashCookie:
		v, _ := match.CookieValue(in.Headers, p.name)
		return in.Sum(v, 0), v != ""
	case hashQuery:
		v, ok := match.QueryParameter(in.Headers.Path(), p.name)
		return in.Sum(v, 0), ok
	}
	addr := in.Info.DownstreamRemote.Addr()
	if !addr.IsValid() {
		return 0, false // a Unix socket
	}
	in.Scratch.buf = addr.Unmap().AppendTo(in.Scratch.buf[:0])
	return in.Sum(view(in.Scratch.buf), 0), true
}

// hashHeader hashes the values of a header, whose order does not matter.
func (p *hashPolicy) hashHeader(in *HashInput) (uint64, bool) {
	h := in.Headers
	i := h.Find(p.name, 0)
	if i < 0 {
		return 0, false
	}
	if h.Find(p.name, i+1) < 0 {
		return in.Sum(p.headerValue(h.ValueAt(i)), 0), true
	}
	var values []string // several lines of one header are rare
	for ; i >= 0; i = h.Find(p.name, i+1) {
		values = append(values, p.headerValue(h.ValueAt(i)))
	}
	slices.Sort(values)
	hash := uint64(0)
	for _, v := range values {
		hash = in.Sum(v, hash)
	}
	return hash, true
}

func (p *hashPolicy) headerValue(v string) string {
	if p.rewrite != nil {
		return p.rewrite.Replace(v)
	}
	return v
}

// newCookie makes a value from the connection's addresses, so that requests that a
// client sends at once get the same.
func newCookie(in *HashInput) uint64 {
	b := in.Info.DownstreamRemote.AppendTo(in.Scratch.buf[:0])
	b = in.Info.DownstreamLocal.AppendTo(b)
	in.Scratch.buf = b
	return in.Sum(view(b), 0)
}

const hexDigits = "0123456789abcdef"

func appendHex(dst []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&15])
	}
	return dst
}

// AddCookies adds to a response the set-cookie headers that r asks for.
func (l HashPolicies) AddCookies(resp *sdk.Headers, r HashResult, s *Scratch) {
	for rest := r.cookies; rest != 0; rest &= rest - 1 {
		c := l[bits.TrailingZeros32(rest)].cookie
		s.buf = append(appendHex(append(s.buf[:0], c.before...), r.value), c.after...)
		resp.Add("set-cookie", view(s.buf))
	}
}
