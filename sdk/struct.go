package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// DecodeStruct reads the configuration of an extension that has no message of its own
// into the Go value that into points to, by its json tags. What the user did not write
// keeps its value, so defaults are set before. A field that into does not have, or that
// has another type, is an error with its name.
func DecodeStruct(c Compiler, s *structpb.Struct, into any) error {
	text, err := json.Marshal(s.AsMap())
	if err != nil {
		return c.Errorf("%w", err) // a number that JSON cannot express
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Type == reflect.TypeFor[Duration]() {
			return c.At(wrong.Field).Errorf(`%s is no duration such as "1.5s"`, wrong.Value)
		}
		return c.At(wrong.Field).Errorf("a %s cannot be read as %s", wrong.Value, wrong.Type)
	}
	var name string
	if _, scan := fmt.Sscanf(err.Error(), "json: unknown field %q", &name); scan == nil {
		return c.At(name).Errorf("there is no such field")
	}
	return c.Errorf("%w", err)
}
