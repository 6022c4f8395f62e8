package runtime

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"gopkg.in/yaml.v3"
)

// kind is what a value can be read as.
type kind uint8

const (
	other kind = iota // text alone
	number
	boolean
	fraction
)

// value is one value of one layer. It is immutable.
type value struct {
	text                   string // as it was written
	kind                   kind
	flag                   bool
	number                 float64
	numerator, denominator uint32
}

// flatten adds the values of a layer to all ("a: {b: 1}" is the key "a.b"). A struct
// that has a numerator or a denominator is one value, a fraction, as in Envoy. Lists
// and nulls are errors that name the key.
func flatten(all map[string]*value, prefix string, layer *structpb.Struct) error {
	for name, v := range layer.GetFields() {
		key := prefix + name
		if s := v.GetStructValue(); s != nil && !isFraction(s) {
			if err := flatten(all, key+".", s); err != nil {
				return err
			}
			continue
		}
		x, err := valueOf(v)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		all[key] = x
	}
	return nil
}

func isFraction(s *structpb.Struct) bool {
	return s.Fields["numerator"] != nil || s.Fields["denominator"] != nil
}

func valueOf(v *structpb.Value) (*value, error) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		return &value{text: strconv.FormatFloat(k.NumberValue, 'f', -1, 64), kind: number, number: k.NumberValue}, nil
	case *structpb.Value_BoolValue:
		return &value{text: strconv.FormatBool(k.BoolValue), kind: boolean, flag: k.BoolValue}, nil
	case *structpb.Value_StringValue:
		return parse(k.StringValue), nil
	case *structpb.Value_StructValue:
		x := &value{kind: fraction, denominator: 100}
		n := k.StructValue.Fields["numerator"].GetNumberValue()
		d := k.StructValue.Fields["denominator"].GetStringValue()
		x.numerator = uint32(min(max(0, n), math.MaxUint32))
		x.denominator = denominator(typev3.FractionalPercent_DenominatorType(typev3.FractionalPercent_DenominatorType_value[d]))
		x.text = fmt.Sprintf("{numerator: %d, denominator: %s}", x.numerator, denominatorName(x.denominator))
		return x, nil
	case *structpb.Value_ListValue:
		return nil, fmt.Errorf("a list is no runtime value")
	}
	return nil, fmt.Errorf("null is no runtime value")
}

// parse reads a value that stands alone: in a file of its own, or set by admin. It is
// YAML, as in Envoy; what is no number, boolean or fraction is text.
func parse(text string) *value {
	x := &value{text: text}
	word := strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(word, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
		x.kind, x.number = number, n
		return x
	}
	switch word {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y":
		x.kind, x.flag = boolean, true
		return x
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N":
		x.kind = boolean
		return x
	}
	if !strings.Contains(word, "numerator") && !strings.Contains(word, "denominator") {
		return x
	}
	var f struct {
		Numerator   *uint32 `yaml:"numerator"`
		Denominator string  `yaml:"denominator"`
	}
	if yaml.Unmarshal([]byte(text), &f) != nil || f.Numerator == nil && f.Denominator == "" {
		return x
	}
	x.kind = fraction
	if f.Numerator != nil {
		x.numerator = *f.Numerator
	}
	x.denominator = denominator(typev3.FractionalPercent_DenominatorType(typev3.FractionalPercent_DenominatorType_value[f.Denominator]))
	return x
}

func denominatorName(n uint32) string {
	switch n {
	case 10_000:
		return "TEN_THOUSAND"
	case 1_000_000:
		return "MILLION"
	}
	return "HUNDRED"
}
