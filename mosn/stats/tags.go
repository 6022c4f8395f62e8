package stats

import (
	"slices"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// span is a part of a name that is a tag's, and what of it is the value.
type span struct {
	tag                string
	from, to           int // what is taken out of the name
	valueFrom, valueTo int
}

// pattern finds a tag in names whose parts, between the dots, look like it: "$" is the
// value, which goes with the dot behind it, "*" one part, "**" one part or more, in one
// place at most. The address of a listener is one part.
type pattern struct {
	tag   string
	parts []string
}

// defaultPatterns are Envoy's default tags, in Envoy's order, as far as its names have
// them here; the response codes and the numbers of workers come before them.
func defaultPatterns() []pattern {
	list := [][2]string{
		{"envoy.http_user_agent", "http.*.user_agent.$.**"},
		{"envoy.virtual_cluster", "vhost.*.vcluster.$.**"},
		{"envoy.fault_downstream_cluster", "http.*.fault.$.**"},
		{"envoy.ssl_cipher", "listener.*.ssl.ciphers.$"},
		{"envoy.ssl_cipher_suite", "cluster.*.ssl.ciphers.$"},
		{"envoy.grpc_bridge_method", "cluster.*.grpc.**.$.*"},
		{"envoy.grpc_bridge_service", "cluster.*.grpc.$.**"},
		{"envoy.tcp_prefix", "tcp.$.**"},
		{"envoy.udp_prefix", "udp.$.**"},
		{"envoy.clientssl_prefix", "auth.clientssl.$.**"},
		{"envoy.ratelimit_prefix", "ratelimit.$.**"},
		{"envoy.cluster_name", "cluster.$.**"},
		{"envoy.rds_route_config", "http.*.rds.$.**"},
		{"envoy.scoped_rds_config", "http.*.scoped_rds.$.**"},
		{"envoy.rbac_http_prefix", "http.*.rbac.$.**"},
		{"envoy.http_conn_manager_prefix", "listener.*.http.$.**"},
		{"envoy.http_conn_manager_prefix", "http.$.**"},
		{"envoy.listener_address", "listener.$.**"},
		{"envoy.virtual_host", "vhost.$.**"},
		{"envoy.route", "vhost.*.route.$.**"},
		{"envoy.mongo_prefix", "mongo.$.**"},
		{"envoy.redis_prefix", "redis.$.**"},
		{"envoy.thrift_prefix", "thrift.$.**"},
		{"envoy.local_http_ratelimit_prefix", "$.http_local_rate_limit.**"},
		{"envoy.local_network_ratelimit_prefix", "local_rate_limit.$.**"},
		{"envoy.local_listener_ratelimit_prefix", "listener_local_ratelimit.$.**"},
		{"envoy.dns_filter_prefix", "dns_filter.$.**"},
		{"envoy.connection_limit_prefix", "connection_limit.$.**"},
		{"envoy.rbac_prefix", "$.rbac.**"},
	}
	out := make([]pattern, len(list))
	for i, l := range list {
		out[i] = pattern{l[0], strings.Split(l[1], ".")}
	}
	return out
}

// Envoy's names of the tags that are not found by a pattern.
const (
	tagCode      = "envoy.response_code"
	tagCodeClass = "envoy.response_code_class"
	tagWorker    = "envoy.worker_id"
)

// tagger splits names into what is common and tags. It is immutable.
type tagger struct {
	fixed    []sdk.StatTag // values that every name has
	custom   []customTag
	special  map[string]bool      // which of the three above are wanted
	patterns map[string][]pattern // by their first part
	any      []pattern            // those that begin with a value
}

// newTagger makes the tagger of the default tags that wanted lets through.
func newTagger(wanted func(tag string) bool) *tagger {
	t := &tagger{special: map[string]bool{}, patterns: map[string][]pattern{}}
	for _, tag := range []string{tagCode, tagCodeClass, tagWorker} {
		t.special[tag] = wanted(tag)
	}
	for _, p := range defaultPatterns() {
		switch {
		case !wanted(p.tag):
		case p.parts[0] == "$":
			t.any = append(t.any, p)
		default:
			t.patterns[p.parts[0]] = append(t.patterns[p.parts[0]], p)
		}
	}
	return t
}

func allTags(string) bool { return true }

// extract returns the name without the parts that are tags, and the tags.
func (t *tagger) extract(name string) (string, []sdk.StatTag) {
	spans := t.spans(name)
	if len(spans)+len(t.fixed) == 0 {
		return name, nil
	}
	tags := make([]sdk.StatTag, 0, len(t.fixed)+len(spans))
	tags = append(tags, t.fixed...)
	for _, s := range spans {
		tags = append(tags, sdk.StatTag{Name: s.tag, Value: name[s.valueFrom:s.valueTo]})
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	b.Grow(len(name))
	at := 0
	for _, s := range spans {
		if s.from > at {
			b.WriteString(name[at:s.from])
		}
		at = max(at, s.to)
	}
	b.WriteString(name[at:])
	return b.String(), tags
}

// spans finds the tags, in order. Of two of one name the first counts.
func (t *tagger) spans(name string) []span {
	var out []span
	add := func(s span) {
		if !slices.ContainsFunc(out, func(o span) bool { return o.tag == s.tag }) {
			out = append(out, s)
		}
	}
	t.defaults(name, add)
	for i := range t.custom {
		if s, ok := t.custom[i].find(name); ok {
			add(s)
		}
	}
	return out
}

// defaults finds Envoy's own tags.
func (t *tagger) defaults(name string, add func(span)) {
	if s, ok := codeSpan(name); ok && t.special[s.tag] {
		add(s)
	}
	first, _, dotted := strings.Cut(name, ".")
	list := t.patterns[first]
	if !dotted || len(list)+len(t.any) == 0 && !t.special[tagWorker] {
		return
	}
	var scratch [16]int
	ends := partEnds(scratch[:0], name)
	if s, ok := workerSpan(name, ends); ok && t.special[tagWorker] {
		add(s)
	}
	for _, patterns := range [][]pattern{list, t.any} {
		for i := range patterns {
			if s, ok := patterns[i].find(name, ends); ok {
				add(s)
			}
		}
	}
}

// codeSpan finds "_200" behind "_rq", and "2" between "_rq_" and "xx".
func codeSpan(name string) (span, bool) {
	n := len(name)
	if n < len("_rq_200") || name[n-7:n-3] != "_rq_" || !digits(name[n-3:n-2]) {
		return span{}, false
	}
	switch {
	case digits(name[n-2:]):
		return span{tagCode, n - 4, n, n - 3, n}, true
	case name[n-2:] == "xx":
		return span{tagCodeClass, n - 3, n - 2, n - 3, n - 2}, true
	}
	return span{}, false
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// workerSpan finds "<n>." of "worker_<n>.", which is the part behind a listener's
// address, or the one behind "server" or "listener_manager".
func workerSpan(name string, ends []int) (span, bool) {
	at := 1
	switch name[:ends[0]] {
	case "listener":
		at = 2
		if len(ends) > 2 && part(name, ends, 1) == "admin" {
			return span{}, false
		}
	case "server", "listener_manager":
	default:
		return span{}, false
	}
	if at >= len(ends)-1 {
		return span{}, false
	}
	id, ok := strings.CutPrefix(part(name, ends, at), "worker_")
	if !ok || !digits(id) {
		return span{}, false
	}
	return span{tagWorker, ends[at] - len(id), ends[at] + 1, ends[at] - len(id), ends[at]}, true
}

// partEnds appends where the parts of a name end.
func partEnds(dst []int, name string) []int {
	if rest, ok := strings.CutPrefix(name, "listener."); ok {
		if n := addressLen(rest); n > 0 {
			dst = append(dst, len("listener"), len("listener.")+n)
		}
	}
	from := 0
	if n := len(dst); n > 0 {
		from = dst[n-1] + 1
	}
	for i := from; i < len(name); i++ {
		if name[i] == '.' {
			dst = append(dst, i)
		}
	}
	return append(dst, len(name))
}

func part(name string, ends []int, i int) string {
	if i == 0 {
		return name[:ends[0]]
	}
	return name[ends[i-1]+1 : ends[i]]
}

// find looks for the pattern's tag.
func (p *pattern) find(name string, ends []int) (span, bool) {
	n := len(ends)
	wild := slices.Index(p.parts, "**")
	if wild < 0 && len(p.parts) != n || wild >= 0 && len(p.parts) > n {
		return span{}, false
	}
	var s span
	for i, want := range p.parts {
		at := i
		switch {
		case i == wild:
			continue
		case wild >= 0 && i > wild:
			at = n - len(p.parts) + i
		}
		switch want {
		case "*":
		case "$":
			s.valueTo = ends[at]
			if at > 0 {
				s.valueFrom = ends[at-1] + 1
			}
			s.from, s.to = s.valueFrom, s.valueTo+1
			if at == n-1 { // the last part goes with the dot before it
				s.from, s.to = s.valueFrom-1, s.valueTo
			}
		default:
			if part(name, ends, at) != want {
				return span{}, false
			}
		}
	}
	if s.valueFrom == s.valueTo || p.tag == "envoy.listener_address" && name[s.valueFrom:s.valueTo] == "admin" {
		return span{}, false
	}
	s.tag = p.tag
	return s, true
}

// addressLen returns how much of s is an address in a stat name
// ("127.0.0.1_80", "[__1]_80"), the dot after it not included; 0 for none.
func addressLen(s string) int {
	n := len(s) - len(strings.TrimLeft(s, "0123456789._[]abcdefABCDEF:"))
	n = strings.LastIndexByte(s[:n], '.')
	if n <= 0 || !strings.ContainsRune(s[:n], '_') {
		return 0
	}
	return n
}
