package route

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// defaultMaxDirectBody is Envoy's default of max_direct_response_body_size_bytes.
const defaultMaxDirectBody = 4096

// Options are the parts of a table's meaning that do not stand in its message.
type Options struct {
	// ValidateClusters is the default of validate_clusters: true for a table inside a
	// listener, false for one that came by RDS.
	ValidateClusters bool
	// Scope is the root, below which virtual clusters and routes count under Names; nil
	// when nobody counts.
	Scope sdk.Scope
	Names *StatNames
}

// Table is a compiled envoy.config.route.v3.RouteConfiguration.
type Table struct {
	Name string
	// InternalOnlyHeaders are removed from requests of external clients, lower case.
	InternalOnlyHeaders []string

	ignorePort   bool // ignore_port_in_host_matching
	ignoreParams bool // ignore_path_parameters_in_path_matching
	ascend       bool // most_specific_header_mutations_wins

	exact              names
	suffixes, prefixes domains
	any                *VirtualHost // domain "*"

	request, response *edits
	filters           filterMap
}

// MatchInput is what a lookup needs beside the headers.
type MatchInput struct {
	// Random decides runtime fractions and weights. As in Envoy it is one number for
	// all of them, drawn once for a stream, so that a stream that is routed again
	// goes the same way.
	Random uint64
	// Runtime overrides fractions and weights; nil does not.
	Runtime *runtime.Values
	// Info is what is known of the stream: dynamic metadata and filter state.
	Info *sdk.StreamInfo
	// PeerPresented and PeerValidated tell of the client's TLS certificate.
	PeerPresented, PeerValidated bool
}

// Compile makes a table. The message must have passed its own validation (PGV) and
// the check of declared fields; what those do not see is checked here.
func Compile(c sdk.Compiler, pb *routev3.RouteConfiguration, o Options) (*Table, error) {
	cc := &compiler{maxDirectBody: defaultMaxDirectBody, validate: o.ValidateClusters, stats: o}
	if v := pb.GetMaxDirectResponseBodySizeBytes(); v != nil {
		cc.maxDirectBody = int(v.GetValue())
	}
	if v := pb.GetValidateClusters(); v != nil {
		cc.validate = v.GetValue()
	}
	t := &Table{
		Name:         pb.GetName(),
		ignorePort:   pb.GetIgnorePortInHostMatching(),
		ignoreParams: pb.GetIgnorePathParametersInPathMatching(),
		ascend:       pb.GetMostSpecificHeaderMutationsWins(),
		suffixes:     domains{back: true},
	}
	for _, name := range pb.GetInternalOnlyHeaders() {
		t.InternalOnlyHeaders = append(t.InternalOnlyHeaders, match.HeaderName(name))
	}
	var err error
	if t.request, t.response, err = compileLevel(c, pb); err != nil {
		return nil, err
	}
	if t.filters, err = compileFilters(c, pb.GetTypedPerFilterConfig(), nil); err != nil {
		return nil, err
	}
	if cc.mirrors, err = compileMirrors(c, pb.GetRequestMirrorPolicies(), cc.validate); err != nil {
		return nil, err
	}
	for i, vh := range pb.GetVirtualHosts() {
		if err := t.addVirtualHost(c.At(fmt.Sprintf("virtual_hosts[%d]", i)), cc, vh); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Table) addVirtualHost(c sdk.Compiler, outer *compiler, pb *routev3.VirtualHost) error {
	vh, err := compileVirtualHost(c, t, *outer, pb)
	if err != nil {
		return err
	}
	for i, domain := range pb.GetDomains() {
		if !t.addDomain(strings.ToLower(domain), vh) {
			return c.At(fmt.Sprintf("domains[%d]", i)).Errorf("duplicate domain %q", domain)
		}
	}
	return nil
}

func (t *Table) addDomain(domain string, vh *VirtualHost) bool {
	switch {
	case domain == "*":
		if t.any != nil {
			return false
		}
		t.any = vh
		return true
	case strings.HasPrefix(domain, "*"):
		return t.suffixes.add(domain[1:], vh)
	case strings.HasSuffix(domain, "*"):
		return t.prefixes.add(domain[:len(domain)-1], vh)
	default:
		return t.exact.add(domain, vh)
	}
}

// Match returns the virtual host and the route of a request; vh is nil when no
// domain matches, r when no route does. A route with weighted clusters has been
// decided: r is its variant for the chosen cluster.
func (t *Table) Match(h *sdk.Headers, in *MatchInput) (vh *VirtualHost, r *Route) {
	vh = t.VirtualHost(h.Authority())
	if vh == nil {
		return nil, nil
	}
	if vh.tlsRequired(h) {
		return vh, vh.tlsRedirect
	}
	if r = vh.routes.match(h, in, t.ignoreParams); r != nil && r.weighted != nil {
		r = r.weighted.pick(h, in)
	}
	return vh, r
}

// VirtualHost returns the virtual host of an authority: by an exact domain, else
// the longest "*.suffix", else the longest "prefix.*", else "*". A wildcard stands
// for at least one byte.
func (t *Table) VirtualHost(host string) *VirtualHost {
	if host == "" {
		if t.onlyAny() {
			return t.any
		}
		return nil
	}
	if t.ignorePort {
		host = host[:portStart(host)]
	}
	if vh := t.exact.find(host); vh != nil {
		return vh
	}
	if vh := t.suffixes.longest(host); vh != nil {
		return vh
	}
	if vh := t.prefixes.longest(host); vh != nil {
		return vh
	}
	return t.any
}

func (t *Table) onlyAny() bool { return len(t.exact.byName)+t.suffixes.count+t.prefixes.count == 0 }

// portStart returns where ":port" begins in an authority, its length when there is
// no port. An IPv6 address stands in brackets (RFC 3986, section 3.2.2).
func portStart(host string) int {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || i < strings.LastIndexByte(host, ']') {
		return len(host)
	}
	return i
}

// Domains returns how many domains the table knows, for /config_dump and tests.
func (t *Table) Domains() int {
	n := len(t.exact.byName) + t.suffixes.count + t.prefixes.count
	if t.any != nil {
		n++
	}
	return n
}
