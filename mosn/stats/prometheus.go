package stats

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// sample is a metric on its way to Prometheus.
type sample struct {
	name   string
	labels string // `a="b",c="d"`, may be empty
	metric *Metric
}

// WritePrometheus writes the text exposition format with Envoy's names and labels:
// counters, gauges, histograms, each group by name. A name that is there as one kind
// is not shown as another, which no reader would accept.
func (v *View) WritePrometheus(w io.Writer, how Buckets) error {
	var samples []*sample
	kinds := map[string]Kind{}
	for _, m := range v.Metrics {
		name, tags := v.conf.tags.extract(m.Name)
		name = "envoy_" + sanitize(name)
		if kind, known := kinds[name]; known && kind != m.Kind {
			continue
		}
		kinds[name] = m.Kind
		samples = append(samples, &sample{name, labels(tags), m})
	}
	slices.SortStableFunc(samples, func(a, b *sample) int {
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
			out = append(out, "# TYPE "+s.name+" "+typeOf(s.metric.Kind, how)+"\n"...)
		}
		switch {
		case s.metric.Kind != KindHistogram:
			out = append(append(append(out, s.name+"{"...), s.labels...), "} "...)
			out = append(strconv.AppendUint(out, s.metric.Value, 10), '\n')
		case how == BucketsSummary:
			out = s.appendSummary(out)
		default:
			out = s.appendHistogram(out, v.conf.bounds(s.metric.Name))
		}
		_, _ = b.Write(out) // Flush reports
	}
	return b.Flush()
}

func typeOf(k Kind, how Buckets) string {
	if k == KindHistogram && how == BucketsSummary {
		return "summary"
	}
	return [...]string{KindCounter: "counter", KindGauge: "gauge", KindHistogram: "histogram"}[k]
}

// with returns the labels and another one behind them.
func (s *sample) with(label, value string) string {
	if s.labels == "" {
		return label + `="` + value + `"`
	}
	return s.labels + "," + label + `="` + value + `"`
}

func (s *sample) appendHistogram(out []byte, bounds []float64) []byte {
	d := s.metric.Total
	for _, bound := range bounds {
		le := strconv.FormatFloat(bound, 'f', -1, 64)
		out = append(out, s.name+"_bucket{"+s.with("le", le)+"} "...)
		out = append(strconv.AppendUint(out, d.AtMost(bound), 10), '\n')
	}
	out = append(out, s.name+"_bucket{"+s.with("le", "+Inf")+"} "...)
	out = append(strconv.AppendUint(out, d.Count, 10), '\n')
	return s.appendSum(out)
}

// appendSummary appends the quantiles of the last interval, as Envoy does.
func (s *sample) appendSummary(out []byte) []byte {
	for _, q := range quantiles {
		at := strconv.FormatFloat(q/100, 'g', -1, 64)
		out = append(out, s.name+"{"+s.with("quantile", at)+"} "...)
		out = append(appendFloat(out, s.metric.Interval.Quantile(q)), '\n')
	}
	return s.appendSum(out)
}

func (s *sample) appendSum(out []byte) []byte {
	out = append(out, s.name+"_sum{"+s.labels+"} "...)
	out = append(strconv.AppendUint(out, s.metric.Total.Sum, 10), '\n')
	out = append(out, s.name+"_count{"+s.labels+"} "...)
	return append(strconv.AppendUint(out, s.metric.Total.Count, 10), '\n')
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

// labels writes tags as labels; of two that would have one name the first counts.
func labels(tags []sdk.StatTag) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var b strings.Builder
	for i, t := range tags {
		name := sanitize(t.Name)
		if slices.ContainsFunc(tags[:i], func(o sdk.StatTag) bool { return sanitize(o.Name) == name }) {
			continue
		}
		if i > 0 {
			b.WriteByte(',')
		}
		if name[0] >= '0' && name[0] <= '9' {
			b.WriteByte('_')
		}
		b.WriteString(name + `="` + escape.Replace(strings.ToValidUTF8(t.Value, "_")) + `"`)
	}
	return b.String()
}
