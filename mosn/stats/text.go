package stats

import (
	"bufio"
	"io"
	"math"
	"strconv"
)

// WriteText writes "name: value" lines as Envoy's /stats does.
func (v *View) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	var line []byte
	for _, t := range v.Texts {
		line = append(append(line[:0], t.Name...), ": \""...)
		line = append(append(line, t.Value...), "\"\n"...)
		_, _ = b.Write(line) // Flush reports
	}
	for i := range v.Metrics {
		m := &v.Metrics[i]
		line = append(append(line[:0], m.Name...), ": "...)
		if m.Kind == KindHistogram {
			line = appendQuantiles(line, m)
		} else {
			line = strconv.AppendUint(line, m.Value, 10)
		}
		_, _ = b.Write(append(line, '\n')) // Flush reports
	}
	return b.Flush()
}

// appendQuantiles appends "P0(interval,total) P25(...) ...".
func appendQuantiles(dst []byte, m *Metric) []byte {
	if m.Total.Count == 0 {
		return append(dst, "No recorded values"...)
	}
	for i, q := range quantiles {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendFloat(append(dst, 'P'), q)
		dst = appendFloat(append(dst, '('), m.Interval.Quantile(q))
		dst = appendFloat(append(dst, ','), m.Total.Quantile(q))
		dst = append(dst, ')')
	}
	return dst
}

func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(dst, "nan"...)
	}
	// Bucket arithmetic leaves noise in the last digits.
	return strconv.AppendFloat(dst, round(f), 'f', -1, 64)
}

// round keeps six significant digits, more than a bucket's.
func round(f float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64)
	if err != nil {
		return f
	}
	return r
}
