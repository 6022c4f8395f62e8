package cel

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/traits"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// AppendText appends what the expression gives for a stream, in Envoy's form of text; ok
// is false for an error, and dst as it was.
func (p *Program) AppendText(dst []byte, d *match.Data) (out []byte, ok bool) {
	switch v := p.eval(&activation{attributes: p.attributes, data: d}).(type) {
	case nil:
		return dst, false
	case types.Bool:
		return strconv.AppendBool(dst, bool(v)), true
	case types.Int:
		return strconv.AppendInt(dst, int64(v), 10), true
	case types.Uint:
		return strconv.AppendUint(dst, uint64(v), 10), true
	case types.Double:
		return strconv.AppendFloat(dst, float64(v), 'g', 6, 64), true
	case types.String:
		return append(dst, v...), true
	case types.Bytes:
		return append(dst, v...), true
	case types.Duration:
		return appendDuration(dst, v.Duration), true
	case types.Timestamp:
		return appendTimestamp(dst, v.Time), true
	case types.Null:
		return append(dst, "NULL"...), true
	case traits.Mapper:
		return append(dst, "CelMap value"...), true
	case traits.Lister:
		return append(dst, "CelList value"...), true
	default:
		return append(append(dst, v.Type().TypeName()...), " value"...), true
	}
}

func appendTimestamp(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.999999999-07:00")
}

// appendDuration appends a time as Envoy prints it: "1h30m", "1.5s", "250us", "0".
func appendDuration(dst []byte, d time.Duration) []byte {
	if d == 0 {
		return append(dst, '0')
	}
	n := uint64(d)
	if d < 0 {
		dst, n = append(dst, '-'), -n
	}
	switch {
	case n < uint64(time.Microsecond):
		return append(strconv.AppendUint(dst, n, 10), "ns"...)
	case n < uint64(time.Millisecond):
		return append(appendDecimal(dst, n, uint64(time.Microsecond)), "us"...)
	case n < uint64(time.Second):
		return append(appendDecimal(dst, n, uint64(time.Millisecond)), "ms"...)
	}
	for _, unit := range [...]struct {
		ns   uint64
		name byte
	}{{uint64(time.Hour), 'h'}, {uint64(time.Minute), 'm'}} {
		if whole := n / unit.ns; whole > 0 {
			dst, n = append(strconv.AppendUint(dst, whole, 10), unit.name), n%unit.ns
		}
	}
	if n > 0 {
		dst = append(appendDecimal(dst, n, uint64(time.Second)), 's')
	}
	return dst
}

// appendDecimal appends n/unit with no more digits than there are; unit is a power of 10.
func appendDecimal(dst []byte, n, unit uint64) []byte {
	dst = strconv.AppendUint(dst, n/unit, 10)
	rest := n % unit
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for rest > 0 {
		unit /= 10
		dst, rest = append(dst, '0'+byte(rest/unit)), rest%unit
	}
	return dst
}

// Value is what the expression gives for a stream as JSON has it: none for an error, and
// for headers and groups of attributes as a whole.
func (p *Program) Value(d *match.Data) sdk.Value {
	return toValue(p.eval(&activation{attributes: p.attributes, data: d}))
}

func toValue(v any) sdk.Value {
	switch v := v.(type) {
	case types.Bool:
		return sdk.Bool(bool(v))
	case types.Int:
		return sdk.Number(float64(v))
	case types.Uint:
		return sdk.Number(float64(v))
	case types.Double:
		return sdk.Number(float64(v))
	case types.String:
		return sdk.String(string(v))
	case types.Bytes:
		return sdk.String(base64.StdEncoding.EncodeToString(v))
	case types.Duration:
		return sdk.String(jsonDuration(v.Duration))
	case types.Timestamp:
		t := v.UTC()
		return sdk.String(t.Format("2006-01-02T15:04:05") + jsonFraction(t.Nanosecond()) + "Z")
	case types.Null:
		return sdk.Null()
	case mapping:
		if s, ok := v.lookup.(valueMap); ok {
			return s.v
		}
	case traits.Lister:
		n, _ := v.Size().(types.Int)
		list := make([]sdk.Value, n)
		for i := range list {
			list[i] = toValue(v.Get(types.Int(i)))
		}
		return sdk.List(list...)
	}
	return sdk.Value{}
}

// jsonDuration is a time as protobuf's JSON has it: "90s", "1.500s".
func jsonDuration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return sign + strconv.FormatInt(int64(d/time.Second), 10) + jsonFraction(int(d%time.Second)) + "s"
}

// jsonFraction is ns as a fraction of a second, with as many digits as protobuf gives it:
// none, 3, 6 or 9.
func jsonFraction(ns int) string {
	s := fmt.Sprintf(".%09d", ns)
	for range 3 {
		if !strings.HasSuffix(s, "000") {
			return s
		}
		s = s[:len(s)-3]
	}
	return ""
}
