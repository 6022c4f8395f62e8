package sdk

import (
	"encoding/json"
	"reflect"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Duration is a time.Duration in the configuration of an extension that has no message
// of its own, written as protobuf's JSON writes one: "0.5s".
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(text []byte) error {
	var pb durationpb.Duration
	if err := protojson.Unmarshal(text, &pb); err != nil {
		return &json.UnmarshalTypeError{Value: string(text), Type: reflect.TypeFor[Duration]()} // gets its field from json
	}
	*d = Duration(pb.AsDuration())
	return nil
}
