package stats

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Handler serves Envoy's /stats and /stats/prometheus: ?format= text (default), json or
// prometheus; ?filter=<regular expression>, ?invert_filter; ?usedonly; ?type= All,
// Counters, Gauges, Histograms or TextReadouts;
// ?histogram_buckets= cumulative, disjoint, detailed or summary.
func Handler(c *Collector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := parseQuery(r.URL)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		view, err := c.Scrape(q.filter)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		var body bytes.Buffer
		if err = q.write(view, &body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", q.contentType)
		h.Set("Cache-Control", "no-cache, max-age=0")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body.Bytes()) // the client may have gone
	})
}

// Buckets says how histograms are shown.
type Buckets string

// The ways. Prometheus has only cumulative buckets, which is what it is given unless
// something else is asked for, and summaries.
const (
	BucketsDefault    Buckets = ""
	BucketsSummary    Buckets = "summary" // quantiles
	BucketsCumulative Buckets = "cumulative"
	BucketsDisjoint   Buckets = "disjoint"
	BucketsDetailed   Buckets = "detailed" // those that values are kept in
)

// query is what a request asks for.
type query struct {
	filter      Filter
	contentType string
	write       func(*View, io.Writer) error
}

func parseQuery(u *url.URL) (q query, err error) {
	values := u.Query()
	format := values.Get("format")
	prometheus := strings.HasSuffix(u.Path, "/prometheus")
	buckets := Buckets(values.Get("histogram_buckets"))
	switch buckets {
	case BucketsDefault, BucketsSummary, BucketsCumulative, BucketsDisjoint, BucketsDetailed:
	case "none":
		buckets = BucketsSummary
	default:
		return q, fmt.Errorf("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)")
	}
	q.contentType = "text/plain; charset=UTF-8"
	switch {
	case prometheus && format == "" || format == "prometheus":
		if buckets == BucketsDisjoint || buckets == BucketsDetailed {
			return q, fmt.Errorf("unsupported prometheus histogram bucket mode")
		}
		q.write = func(v *View, w io.Writer) error { return v.WritePrometheus(w, buckets) }
	case prometheus:
		return q, fmt.Errorf("usage: /stats/prometheus has no format but its own")
	case format == "" || format == "text":
		q.write = func(v *View, w io.Writer) error { return v.WriteText(w, buckets) }
	case format == "json":
		q.contentType = "application/json"
		q.write = func(v *View, w io.Writer) error { return v.WriteJSON(w, buckets) }
	default: // html, too: there is no page that would draw it
		return q, fmt.Errorf("usage: /stats?format=(json|prometheus|text)")
	}
	q.filter, err = parseFilter(values)
	return q, err
}

func parseFilter(query url.Values) (Filter, error) {
	f := Filter{UsedOnly: query.Has("usedonly"), Invert: query.Has("invert_filter")}
	if expr := query.Get("filter"); expr != "" {
		re, err := regexp.Compile(expr)
		if err != nil {
			return f, fmt.Errorf("invalid filter: %w", err)
		}
		f.Name = re
	}
	switch kind := query.Get("type"); strings.ToLower(kind) {
	case "", "all":
	case "counters":
		f.Kinds = []Kind{KindCounter}
	case "gauges":
		f.Kinds = []Kind{KindGauge}
	case "histograms":
		f.Kinds = []Kind{KindHistogram}
	case "textreadouts":
		f.Kinds = []Kind{}
	default:
		return f, fmt.Errorf("invalid type %q: All, Counters, Gauges, Histograms or TextReadouts", kind)
	}
	return f, nil
}

// counts returns how many values are at most each bound, of the interval and in all;
// disjoint, how many are between it and the one before.
func (m *Metric) counts(bounds []float64, disjoint bool) (interval, total []uint64) {
	interval, total = m.Interval.upTo(bounds), m.Total.upTo(bounds)
	if disjoint {
		for _, list := range [][]uint64{interval, total} {
			for i := range slices.Backward(list[:max(len(list)-1, 0)]) {
				list[i+1] -= list[i]
			}
		}
	}
	return interval, total
}

func (d Distribution) upTo(bounds []float64) []uint64 {
	out := make([]uint64, len(bounds))
	for i, b := range bounds {
		out[i] = d.AtMost(b)
	}
	return out
}
