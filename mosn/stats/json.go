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

type jsonHistogram struct {
	Name   string         `json:"name"`
	Values []jsonQuantile `json:"values"`
}

type jsonHistograms struct {
	Supported []float64       `json:"supported_quantiles"`
	Computed  []jsonHistogram `json:"computed_quantiles"`
}

// WriteJSON writes the view in the shape of Envoy's /stats?format=json.
func (v *View) WriteJSON(w io.Writer) error {
	stats := []any{}
	for _, t := range v.Texts {
		stats = append(stats, jsonText{t.Name, t.Value})
	}
	var hists []jsonHistogram
	for i := range v.Metrics {
		m := &v.Metrics[i]
		if m.Kind != KindHistogram {
			stats = append(stats, jsonValue{m.Name, m.Value})
			continue
		}
		h := jsonHistogram{Name: m.Name}
		for _, q := range quantiles {
			h.Values = append(h.Values, jsonQuantile{number(m.Total.Quantile(q)), number(m.Interval.Quantile(q))})
		}
		hists = append(hists, h)
	}
	if hists != nil {
		stats = append(stats, map[string]jsonHistograms{"histograms": {quantiles, hists}})
	}
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{"stats": stats}); err != nil {
		return err
	}
	return b.Flush()
}

// number is f for JSON, where there is no NaN.
func number(f float64) *float64 {
	if math.IsNaN(f) {
		return nil
	}
	f = round(f)
	return &f
}
