package envoy

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// counted are the counters that are compared with -stats: those that follow from what a case does, not from timing or from a proxy's inner
// life. The first group is below http.<prefix>., the second below cluster.<name>.
var counted = map[string][]string{
	"http": {
		"downstream_cx_http1_total", "downstream_cx_http2_total", "downstream_rq_http2_total", "downstream_cx_idle_timeout", "downstream_cx_max_duration_reached", "downstream_cx_protocol_error",
		"downstream_cx_upgrades_total", "downstream_rq_1xx", "downstream_rq_2xx", "downstream_rq_3xx", "downstream_rq_4xx",
		"downstream_rq_5xx", "downstream_rq_completed", "downstream_rq_header_timeout", "downstream_rq_http1_total",
		"downstream_rq_idle_timeout", "downstream_rq_max_duration_reached", "downstream_rq_non_relative_path",
		"downstream_rq_redirected_with_normalized_path", "downstream_rq_timeout", "downstream_rq_total", "downstream_rq_ws_on_non_ws_route",
		"no_cluster", "no_route", "rq_direct_response", "rq_redirect", "rq_reset_after_downstream_response_started", "rq_total",
	},
	"cluster": {
		"upstream_cx_http2_total",
		"upstream_cx_connect_fail", "upstream_cx_connect_timeout", "upstream_cx_idle_timeout", "upstream_cx_max_requests",
		"upstream_cx_none_healthy", "upstream_cx_protocol_error", "upstream_rq_2xx", "upstream_rq_3xx", "upstream_rq_4xx",
		"upstream_rq_5xx", "upstream_rq_completed", "upstream_rq_max_duration_reached", "upstream_rq_pending_overflow",
		"upstream_rq_per_try_timeout", "upstream_rq_retry", "upstream_rq_retry_limit_exceeded", "upstream_rq_retry_overflow",
		"upstream_rq_retry_success", "upstream_rq_timeout", "upstream_rq_total",
	},
}

// readStats fetches the non-zero statistics of a proxy from its admin listener.
func readStats(addr string) (map[string]string, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /stats HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
	all, err := io.ReadAll(conn)
	if err != nil {
		return nil, err
	}
	stats := map[string]string{}
	for line := range strings.Lines(string(all)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if ok && value != "0" {
			stats[name] = value
		}
	}
	return stats, nil
}

// statLines renders the counters of the case, without those that are zero.
func (b *bench) statLines(stats map[string]string) string {
	prefixes := map[string]string{"http." + b.prefix() + ".": "http"}
	for _, name := range b.names {
		prefixes["cluster."+b.c.ID+"/"+name+"."] = "cluster"
	}
	var lines []string
	for prefix, group := range prefixes {
		for _, name := range counted[group] {
			if value, ok := stats[prefix+name]; ok {
				lines = append(lines, fmt.Sprintf("stat %s: %s\n", strings.Replace(prefix, b.c.ID+"/", "", 1)+name, value))
			}
		}
	}
	slices.Sort(lines)
	return strings.Replace(strings.Join(lines, ""), b.prefix(), "case", -1)
}
