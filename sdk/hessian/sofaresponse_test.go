package hessian

import (
	"strings"
	"testing"
)

// TestSofaResponseCaptured: what SOFARPC's server wrote is what we write.
func TestSofaResponseCaptured(t *testing.T) {
	want := captured(t, "sofarpc", "Java server: response")
	if got := AppendSofaResponse(nil, "hello mesh", false); string(got) != string(want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

// TestSofaResponseReads holds the writer against the reader.
func TestSofaResponseReads(t *testing.T) {
	long := strings.Repeat("0123456789", 10000)
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"no route", "no route"}, {long[:31], ""}, {long[:32], ""}, {"grün 路 \U0001f600", ""},
		{"a\xffb\x00", "a\ufffdb\x00"}, {long[:maxChunk-1], ""}, {long[:maxChunk], ""}, {long, ""},
		{strings.Repeat("\U0001f600", 40000), ""}, {"x" + strings.Repeat("\U0001f600", 40000), ""},
	} {
		if c.want == "" {
			c.want = c.text
		}
		for _, failed := range []bool{false, true} {
			r := new(Reader)
			if err := r.Reset(Old, AppendSofaResponse([]byte("N"), c.text, failed)[1:], Limits{Text: 1 << 20}); err != nil {
				t.Fatal(err)
			}
			got, err := readResponse(r)
			want := [...]string{"F", "N", c.want, "N"}
			if failed {
				want = [...]string{"T", c.want, "N", "N"}
			}
			if err != nil || got != want || len(r.Rest()) > 0 {
				t.Errorf("%.40q, failed %v: %.100q, %v, %d bytes are left", c.text, failed, got, err, len(r.Rest()))
			}
		}
	}
}

// readResponse returns the fields in order: texts, and the tag of what is none.
func readResponse(r *Reader) (fields [4]string, err error) {
	o, err := r.Object()
	if err != nil {
		return fields, err
	}
	for i := range fields {
		if _, _, err := o.Next(); err != nil {
			return fields, err
		}
		if r.Kind() != Text {
			fields[i] = string(r.Rest()[:1])
			err = r.Skip()
		} else {
			var text []byte
			text, err = r.String(nil)
			fields[i] = string(text)
		}
		if err != nil {
			return fields, err
		}
	}
	return fields, nil
}
