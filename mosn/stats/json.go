package stats

import (
	"bufio"
	"encoding/json"
	"io"
	"math"
)

type jsonValue struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

type jsonText struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type jsonQuantile struct {
	Cumulative *float64 `json:"cumulative"`
	Interval   *float64 `json:"interval"`
}

type jsonSummary struct {
	Name   string         `json:"name"`
	Values []jsonQuantile `json:"values"`
}

type jsonSummaries struct {
	Supported []float64     `json:"supported_quantiles"`
	Computed  []jsonSummary `json:"computed_quantiles"`
}

type jsonBucket struct {
	UpperBound float64 `json:"upper_bound"`
	Interval   uint64  `json:"interval"`
	Cumulative uint64  `json:"cumulative"`
}

type jsonBuckets struct {
	Name    string       `json:"name"`
	Buckets []jsonBucket `json:"buckets"`
}

type jsonBin struct {
	LowerBound float64 `json:"lower_bound"`
	Width      float64 `json:"width"`
	Count      uint64  `json:"count"`
}

type jsonDetail struct {
	Name        string         `json:"name"`
	Totals      []jsonBin      `json:"totals"`
	Intervals   []jsonBin      `json:"intervals"`
	Percentiles []jsonQuantile `json:"percentiles"`
}

type jsonDetails struct {
	Supported []float64    `json:"supported_percentiles"`
	Details   []jsonDetail `json:"details"`
}

// WriteJSON writes the view in the shape of Envoy's /stats?format=json.
func (v *View) WriteJSON(w io.Writer, how Buckets) error {
	stats := []any{}
	for _, t := range v.Texts {
		stats = append(stats, jsonText(t))
	}
	n := len(v.Metrics)
	for i, m := range v.Metrics {
		if m.Kind == KindHistogram { // from here on all are
			n = i
			break
		}
		stats = append(stats, jsonValue{m.Name, m.Value})
	}
	if hists := v.Metrics[n:]; len(hists) > 0 {
		stats = append(stats, map[string]any{"histograms": v.jsonHistograms(hists, how)})
	}
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{"stats": stats}); err != nil {
		return err
	}
	return b.Flush()
}

func (v *View) jsonHistograms(hists []*Metric, how Buckets) any {
	switch how {
	case BucketsCumulative, BucketsDisjoint:
		out := make([]jsonBuckets, len(hists))
		for i, m := range hists {
			bounds := v.conf.bounds(m.Name)
			interval, total := m.counts(bounds, how == BucketsDisjoint)
			out[i] = jsonBuckets{Name: m.Name}
			for k, bound := range bounds {
				out[i].Buckets = append(out[i].Buckets, jsonBucket{bound, interval[k], total[k]})
			}
		}
		return out
	case BucketsDetailed:
		out := jsonDetails{Supported: quantiles}
		for _, m := range hists {
			out.Details = append(out.Details, jsonDetail{m.Name, bins(m.Total), bins(m.Interval), jsonQuantiles(m)})
		}
		return out
	}
	out := jsonSummaries{Supported: quantiles}
	for _, m := range hists {
		out.Computed = append(out.Computed, jsonSummary{m.Name, jsonQuantiles(m)})
	}
	return out
}

func jsonQuantiles(m *Metric) []jsonQuantile {
	var out []jsonQuantile
	for _, q := range quantiles {
		out = append(out, jsonQuantile{number(m.Total.Quantile(q)), number(m.Interval.Quantile(q))})
	}
	return out
}

func bins(d Distribution) []jsonBin {
	out := []jsonBin{}
	for _, b := range d.buckets {
		left, width := bucketBounds(b.bucket)
		out = append(out, jsonBin{left, width, b.count})
	}
	return out
}

// number is f for JSON, where there is no NaN.
func number(f float64) *float64 {
	if math.IsNaN(f) {
		return nil
	}
	f = round(f)
	return &f
}
