package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
)

// appendState appends a value of the filter state: PLAIN as it reads, TYPED as JSON.
func (p *part) appendState(dst []byte, v any) ([]byte, kind) {
	start := len(dst)
	what := text
	switch v := v.(type) {
	case string:
		dst = append(dst, v...)
	case []byte:
		dst = append(dst, v...)
	case int:
		return strconv.AppendInt(dst, int64(v), 10), number
	case int64:
		return strconv.AppendInt(dst, v, 10), number
	case uint64:
		return strconv.AppendUint(dst, v, 10), number
	case bool:
		return strconv.AppendBool(dst, v), raw
	case proto.Message:
		b, err := protojson.Marshal(v)
		if err != nil {
			return dst, missing
		}
		var out bytes.Buffer // protojson puts spaces where chance has them
		if json.Compact(&out, b) != nil {
			return dst, missing
		}
		dst, what = append(dst, out.Bytes()...), raw
	case fmt.Stringer:
		dst = append(dst, v.String()...)
	default:
		return dst, missing
	}
	switch {
	case what == text && p.op == opFilterStateTyped:
		dst = append(dst, '"')
		copy(dst[start+1:], dst[start:])
		dst[start] = '"'
		return append(escapeJSON(dst, start+1), '"'), raw
	case what == text && p.limit > 0 && len(dst)-start >= p.limit:
		dst = dst[:start+p.limit-1]
	}
	return dst, what
}

// appendField appends a field of an object that has fields.
func (p *part) appendField(dst []byte, object any) ([]byte, kind) {
	o, ok := object.(interface{ Field(name string) sdk.Value })
	if !ok {
		return dst, missing
	}
	switch v := o.Field(p.path[0]); v.Kind() {
	case sdk.NoValue:
		return dst, missing
	case sdk.StringValue:
		return append(dst, truncate(v.Text(), p.limit)...), text
	default:
		return appendValue(dst, v), raw
	}
}
