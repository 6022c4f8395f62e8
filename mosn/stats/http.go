package stats

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Handler serves Envoy's /stats and /stats/prometheus: ?format= text (default),
// json or prometheus; ?filter=<regular expression>; ?usedonly; ?type= All, Counters,
// Gauges, Histograms or TextReadouts.
func Handler(c *Collector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		format := query.Get("format")
		if strings.HasSuffix(r.URL.Path, "/prometheus") {
			format = "prometheus"
		}
		filter, err := parseFilter(query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		view, err := c.Scrape(filter)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		var body bytes.Buffer
		contentType := "text/plain; charset=UTF-8"
		switch format {
		case "", "text":
			err = view.WriteText(&body)
		case "json":
			contentType = "application/json"
			err = view.WriteJSON(&body)
		case "prometheus":
			err = view.WritePrometheus(&body)
		default:
			http.Error(w, "usage: /stats?format=(json|prometheus|text)\n", http.StatusBadRequest)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache, max-age=0")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body.Bytes()) // the client may have gone
	})
}

func parseFilter(query url.Values) (Filter, error) {
	f := Filter{UsedOnly: query.Has("usedonly")}
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
