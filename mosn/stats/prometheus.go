package stats

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Envoy's default bounds of histogram buckets, in the unit of the metric.
var prometheusBounds = [...]float64{
	0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
}

// sample is a metric on its way to Prometheus.
type sample struct {
	name   string
	labels string // `a="b",c="d"`, may be empty
	metric *Metric
}

// WritePrometheus writes the text exposition format with Envoy's names and labels:
// counters, gauges, histograms, each group by name.
func (v *View) WritePrometheus(w io.Writer) error {
	samples := make([]sample, len(v.Metrics))
	for i := range v.Metrics {
		name, tags := extract(v.Metrics[i].Name)
		samples[i] = sample{"envoy_" + sanitize(name), labels(tags), &v.Metrics[i]}
	}
	slices.SortStableFunc(samples, func(a, b sample) int {
		if a.metric.Kind != b.metric.Kind {
			return int(a.metric.Kind) - int(b.metric.Kind)
		}
		return strings.Compare(a.name, b.name)
	})
	b := bufio.NewWriter(w)
	previous := ""
	var out []byte
	for _, s := range samples {
		out = out[:0]
		if s.name != previous {
			previous = s.name
			kind := [...]string{KindCounter: "counter", KindGauge: "gauge", KindHistogram: "histogram"}[s.metric.Kind]
			out = append(out, "# TYPE "+s.name+" "+kind+"\n"...)
		}
		if s.metric.Kind == KindHistogram {
			out = s.appendHistogram(out)
		} else {
			out = append(append(append(out, s.name+"{"...), s.labels...), "} "...)
			out = append(strconv.AppendUint(out, s.metric.Value, 10), '\n')
		}
		_, _ = b.Write(out) // Flush reports
	}
	return b.Flush()
}

func (s sample) appendHistogram(out []byte) []byte {
	more := s.labels
	if more != "" {
		more += ","
	}
	d := s.metric.Total
	for _, bound := range prometheusBounds {
		le := strconv.FormatFloat(bound, 'f', -1, 64)
		out = append(out, s.name+"_bucket{"+more+`le="`+le+`"} `...)
		out = append(strconv.AppendUint(out, d.AtMost(bound), 10), '\n')
	}
	for _, line := range [...]struct {
		head  string
		value uint64
	}{
		{s.name + "_bucket{" + more + `le="+Inf"} `, d.Count},
		{s.name + "_sum{" + s.labels + "} ", d.Sum},
		{s.name + "_count{" + s.labels + "} ", d.Count},
	} {
		out = append(strconv.AppendUint(append(out, line.head...), line.value, 10), '\n')
	}
	return out
}

// sanitize makes a name fit for Prometheus.
func sanitize(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

func labels(tags []tag) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var b strings.Builder
	for i, t := range tags {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(t.name + `="` + escape.Replace(t.value) + `"`)
	}
	return b.String()
}
