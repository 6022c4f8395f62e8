package stats

import (
	"bufio"
	"io"
	"math"
	"strconv"
)

// WriteText writes "name: value" lines as Envoy's /stats does.
func (v *View) WriteText(w io.Writer, how Buckets) error {
	b := bufio.NewWriter(w)
	var line []byte
	for _, t := range v.Texts {
		line = append(append(line[:0], t.Name...), ": \""...)
		line = append(append(line, t.Value...), "\"\n"...)
		_, _ = b.Write(line) // Flush reports
	}
	for _, m := range v.Metrics {
		line = append(append(line[:0], m.Name...), ':')
		switch {
		case m.Kind != KindHistogram:
			line = strconv.AppendUint(append(line, ' '), m.Value, 10)
		case m.Total.Count == 0:
			line = append(line, " No recorded values"...)
		case how == BucketsCumulative, how == BucketsDisjoint:
			line = v.appendBuckets(line, m, how == BucketsDisjoint)
		case how == BucketsDetailed:
			line = appendDetails(append(line, "\n  totals="...), m.Total)
			line = appendDetails(append(line, "\n  intervals="...), m.Interval)
			line = appendQuantiles(append(line, "\n  summary="...), m)
		default:
			line = appendQuantiles(append(line, ' '), m)
		}
		_, _ = b.Write(append(line, '\n')) // Flush reports
	}
	return b.Flush()
}

// appendQuantiles appends "P0(interval,total) P25(...) ...".
func appendQuantiles(dst []byte, m *Metric) []byte {
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

// appendBuckets appends " B0.5(interval,total) B1(...) ...".
func (v *View) appendBuckets(dst []byte, m *Metric, disjoint bool) []byte {
	bounds := v.conf.bounds(m.Name)
	interval, total := m.counts(bounds, disjoint)
	for i, bound := range bounds {
		dst = strconv.AppendFloat(append(dst, " B"...), bound, 'g', -1, 64)
		dst = strconv.AppendUint(append(dst, '('), interval[i], 10)
		dst = strconv.AppendUint(append(dst, ','), total[i], 10)
		dst = append(dst, ')')
	}
	return dst
}

// appendDetails appends "lower,width:count, ...".
func appendDetails(dst []byte, d Distribution) []byte {
	for i, b := range d.buckets {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		left, width := bucketBounds(b.bucket)
		dst = appendFloat(dst, left)
		dst = appendFloat(append(dst, ','), width)
		dst = strconv.AppendUint(append(dst, ':'), b.count, 10)
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
