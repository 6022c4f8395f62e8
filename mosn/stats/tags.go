package stats

import "strings"

// tag is a part of a name that Prometheus shows as a label.
type tag struct{ name, value string }

// extract splits a name as Envoy's default tag extractors do: the name without the
// variable parts, and those parts as tags, in Envoy's order.
func extract(name string) (string, []tag) {
	var tags []tag
	name, tags = extractCode(name, tags)
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return name, tags
	}
	switch first {
	case "cluster":
		return takeFirst(first, rest, "envoy_cluster_name", tags)
	case "http":
		name, tags = takeInner(first, rest, ".rds.", "envoy_rds_route_config", tags)
		return takeFirst(first, strings.TrimPrefix(name, "http."), "envoy_http_conn_manager_prefix", tags)
	case "tcp":
		return takeFirst(first, rest, "envoy_tcp_prefix", tags)
	case "udp":
		return takeFirst(first, rest, "envoy_udp_prefix", tags)
	case "vhost":
		name, tags = takeInner(first, rest, ".vcluster.", "envoy_virtual_cluster", tags)
		return takeFirst(first, strings.TrimPrefix(name, "vhost."), "envoy_virtual_host", tags)
	case "listener":
		return extractListener(rest, tags)
	case "server", "listener_manager":
		rest, tags = extractWorker(rest, tags)
		return first + "." + rest, tags
	}
	return name, tags
}

// extractCode takes "_rq_200" and "_rq_2xx".
func extractCode(name string, tags []tag) (string, []tag) {
	i := strings.LastIndex(name, "_rq_")
	if i < 0 || len(name)-i != len("_rq_200") {
		return name, tags
	}
	code := name[i+len("_rq_"):]
	switch {
	case digits(code):
		return name[:i+len("_rq")], append(tags, tag{"envoy_response_code", code})
	case digits(code[:1]) && code[1:] == "xx":
		return name[:i+len("_rq_")] + "xx", append(tags, tag{"envoy_response_code_class", code[:1]})
	}
	return name, tags
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// takeFirst takes the part after first: "cluster.<value>.rest".
func takeFirst(first, rest, label string, tags []tag) (string, []tag) {
	value, rest, ok := strings.Cut(rest, ".")
	if !ok || value == "" {
		return first + "." + value, tags
	}
	return first + "." + rest, append(tags, tag{label, value})
}

// takeInner takes the part after a fixed middle: "vhost.name.vcluster.<value>.rest".
func takeInner(first, rest, middle, label string, tags []tag) (string, []tag) {
	name := first + "." + rest
	i := strings.Index(name, middle)
	if i < 0 {
		return name, tags
	}
	head, tail := name[:i+len(middle)], name[i+len(middle):]
	j := strings.LastIndexByte(tail, '.')
	if j <= 0 {
		return name, tags
	}
	return head + tail[j+1:], append(tags, tag{label, tail[:j]})
}

// extractListener takes the address, which has dots of its own, and the worker. The
// admin listener is no value: its name stays.
func extractListener(rest string, tags []tag) (string, []tag) {
	if strings.HasPrefix(rest, "admin.") {
		rest, tags = extractWorker(rest, tags)
		return "listener." + rest, tags
	}
	end := strings.IndexByte(rest, '.')
	if n := addressLen(rest); n > 0 {
		end = n
	}
	if end <= 0 {
		return "listener." + rest, tags
	}
	address := rest[:end]
	rest, tags = extractWorker(rest[end+1:], tags)
	if inner, ok := strings.CutPrefix(rest, "http."); ok {
		if prefix, metric, ok := strings.Cut(inner, "."); ok {
			rest, tags = "http."+metric, append(tags, tag{"envoy_http_conn_manager_prefix", prefix})
		}
	}
	return "listener." + rest, append(tags, tag{"envoy_listener_address", address})
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

// extractWorker takes the number of "worker_<n>.".
func extractWorker(rest string, tags []tag) (string, []tag) {
	i := strings.Index(rest, "worker_")
	if i < 0 || i > 0 && rest[i-1] != '.' {
		return rest, tags
	}
	id, tail, ok := strings.Cut(rest[i+len("worker_"):], ".")
	if !ok || !digits(id) {
		return rest, tags
	}
	return rest[:i] + "worker." + tail, append(tags, tag{"envoy_worker_id", id})
}
