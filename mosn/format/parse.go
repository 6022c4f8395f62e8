package format

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/sdk"
)

// Parse compiles a text format. "%%" is a percent sign. An error names the operator
// that is wrong, unknown or not built yet.
func Parse(s string) (*Format, error) { return parseText(s, false, nil) }

// extensions are what formatter extensions add; nil is none.
type extensions struct {
	operators map[string]spec
	place     cel.Place // where expressions stand
	cel       *corev3.CelExpressionConfig
}

func (more *extensions) find(name string) (s spec, ok bool) {
	if more != nil {
		s, ok = more.operators[name]
	}
	return s, ok
}

// expression compiles that of CEL.
func (more *extensions) expression(text string) (*cel.Program, error) {
	if more == nil {
		return cel.CompileText(nowhere{}, text, nil, cel.Anything)
	}
	return cel.CompileText(more.place, text, more.cel, cel.Anything)
}

// nowhere is the place of what is parsed without a compiler: whoever parses it says where
// it stands.
type nowhere struct{}

func (nowhere) Errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// ParseOmitting is Parse for a format in which what is missing is nothing, not "-".
func ParseOmitting(s string) (*Format, error) { return parseText(s, true, nil) }

// Single reports whether f is nothing but one operator, or one text.
func (f *Format) Single() bool { return len(f.parts) == 1 }

func parseText(s string, omitEmpty bool, more *extensions) (*Format, error) {
	parts, err := more.parse(s)
	if err != nil {
		return nil, err
	}
	f := &Format{parts: parts, empty: "-"}
	if omitEmpty {
		f.empty = ""
	}
	return f, nil
}

// parse splits text into literals and operators.
func (more *extensions) parse(s string) ([]part, error) {
	var parts []part
	var literal strings.Builder
	end := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{text: literal.String()})
			literal.Reset()
		}
	}
	for s != "" {
		before, rest, found := strings.Cut(s, "%")
		literal.WriteString(before)
		if !found {
			break
		}
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			literal.WriteByte('%')
			s = after
			continue
		}
		t, after, err := tokenize(rest)
		if err != nil {
			return nil, err
		}
		p, err := t.compile(more)
		if err != nil {
			return nil, err
		}
		end()
		parts = append(parts, p)
		s = after
	}
	end()
	return parts, nil
}

// token is an operator as it is written: %name(args):limit%.
type token struct {
	name, args string
	limit      int // 1 + the number, 0 when not given
}

// tokenize reads the operator at the start of s, after its percent sign.
func tokenize(s string) (t token, rest string, err error) {
	n := strings.IndexFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' })
	if n <= 0 {
		return t, "", fmt.Errorf("no operator after the percent sign in %q; a percent sign itself is written %%%%", "%"+clip(s))
	}
	t.name, s = s[:n], s[n:]
	if s[0] == '(' {
		i := closing(s)
		if i < 0 {
			return t, "", fmt.Errorf("%%%s( is not closed", t.name)
		}
		t.args, s = s[1:i], s[i+1:]
	}
	if after, ok := strings.CutPrefix(s, ":"); ok {
		number, _, _ := strings.Cut(after, "%")
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return t, "", fmt.Errorf("%%%s%%: %q is not a length", t.name, number)
		}
		t.limit = int(n) + 1
		s = after[len(number):]
	}
	rest, ok := strings.CutPrefix(s, "%")
	if !ok {
		return t, "", fmt.Errorf("%%%s does not end in a percent sign", t.name)
	}
	return t, rest, nil
}

// closing returns where the parenthesis at the start of s is closed: by the first one
// that ends the operator, so that there may be others in the JSON of COALESCE; without
// such, by the first.
func closing(s string) int {
	for i := range len(s) {
		if s[i] != ')' {
			continue
		}
		rest := strings.TrimLeft(strings.TrimPrefix(s[i+1:], ":"), "0123456789")
		if strings.HasPrefix(rest, "%") {
			return i
		}
	}
	return strings.IndexByte(s, ')')
}

func clip(s string) string { return s[:min(len(s), 20)] }

// compile finds the operator and checks its arguments.
func (t token) compile(more *extensions) (part, error) {
	fail := func(format string, args ...any) (part, error) {
		return part{}, fmt.Errorf("%%%s%%: "+format, append([]any{t.name}, args...)...)
	}
	s, ok := operators[t.name]
	if !ok {
		s, ok = more.find(t.name)
	}
	tls, secure := tlsOperators[t.name]
	if secure {
		s, ok = tlsSpec(tls), true
	}
	if params, known := absent[t.name]; known {
		s, ok = spec{opAbsent, params, params == someParams}, true
	}
	switch {
	case !ok && slices.Contains(later, t.name):
		return fail("is an operator of Envoy that is not supported yet")
	case !ok:
		return fail("is not an operator")
	case s.params == noParams && t.args != "":
		return fail("takes no parameters")
	case s.params == someParams && t.args == "":
		return fail("needs parameters")
	case !s.length && t.limit > 0:
		return fail("takes no length")
	}
	p := part{op: s.op, limit: t.limit, tls: tls}
	err := t.arguments(&p)
	if s.op == opCEL || s.op == opTypedCEL {
		p.program, err = more.expression(t.args)
	}
	if err != nil {
		return part{}, fmt.Errorf("%%%s%%: %w", t.name, err)
	}
	return p, nil
}

// arguments fills in what follows from the parentheses.
func (t token) arguments(p *part) (err error) {
	switch t.name {
	case "START_TIME", "EMIT_TIME", "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END", "UPSTREAM_PEER_CERT_V_START",
		"UPSTREAM_PEER_CERT_V_END":
		p.time, err = parseTime(t.args)
	case "START_TIME_LOCAL", "EMIT_TIME_LOCAL":
		p.time, err = parseTime(cmp.Or(t.args, "%Y-%m-%dT%H:%M:%E3S%z"))
	case "PATH":
		return p.parsePath(t.args)
	case "QUERY_PARAMS":
		return parseQueryParams(t.args)
	case "QUERY_PARAM":
		p.text = t.args
	case "REQUESTED_SERVER_NAME":
		return p.parseServerName(t.args)
	case "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA", "METADATA":
		return p.parseMetadata(t.name, t.args)
	case "COALESCE":
		return p.parseCoalesce(t.args)
	case "REQ", "REQUEST_HEADER", "STREAM_INFO_REQ", "RESP", "RESPONSE_HEADER", "TRAILER", "RESPONSE_TRAILER", "REQ_WITHOUT_QUERY":
		return t.headers(p)
	case "RESPONSE_CODE_DETAILS":
		if t.args == "ALLOW_WHITESPACES" {
			p.op = opResponseCodeDetailsSpaced
		}
	case "COMMON_DURATION":
		return p.parseDuration(t.args)
	case "FILTER_STATE":
		return p.parseFilterState(t.args)
	case "GRPC_STATUS":
		return p.parseGRPCStatus(t.args)
	case "HOSTNAME":
		p.text, err = os.Hostname()
		if err != nil || p.text == "" {
			p.op, err = opAbsent, nil
		}
	case "ENVIRONMENT":
		value, ok := os.LookupEnv(t.args)
		if !ok || value == "" {
			value = "-" // a value as any other, as in Envoy
		}
		p.text = truncate(value, t.limit)
	}
	return err
}

// headers parses "name" or "name?alternative".
func (t token) headers(p *part) error {
	names := strings.Split(t.args, "?")
	if len(names) > 2 {
		return fmt.Errorf("more than one alternative in %q", t.args)
	}
	for i, to := range []*header{&p.header, &p.other}[:len(names)] {
		name := strings.ToLower(names[i])
		if strings.ContainsFunc(strings.TrimPrefix(name, ":"), notInName) {
			return fmt.Errorf("%q is not a header name", names[i])
		}
		if name == "host" {
			name = ":authority"
		}
		*to = header{sdk.LookupHeader(name), name}
	}
	return nil
}

// notInName reports what is no character of a token (RFC 9110, 5.6.2).
func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func (p *part) parseFilterState(args string) error {
	key, how, _ := strings.Cut(args, ":")
	how, field, _ := strings.Cut(how, ":")
	p.text = key
	switch how {
	case "PLAIN":
		p.op = opFilterState
	case "", "TYPED":
	case "FIELD":
		if p.op, p.path = opFilterStateField, []string{field}; field == "" {
			return fmt.Errorf("FIELD needs the name of a field")
		}
	default:
		return fmt.Errorf("%s is not supported, only PLAIN, TYPED and FIELD", how)
	}
	if key == "" {
		return fmt.Errorf("the key is empty")
	}
	return nil
}

// truncate cuts s to limit-1 bytes; 0 is no limit.
func truncate(s string, limit int) string {
	if limit > 0 && len(s) >= limit {
		return s[:limit-1]
	}
	return s
}
