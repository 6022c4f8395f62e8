// Package metadata reads our own settings from the metadata of Envoy's resources,
// where Envoy has no field for them: filter_metadata under the name "mosn". A key that
// is misspelt or of the wrong type is an error, as a field would be.
//
// It is used while configuration is compiled, by one goroutine at a time.
package metadata

import (
	"math"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// Namespace is the key of filter_metadata.
const Namespace = "mosn"

// Settings are the values of one resource, each to be asked for by name. Err tells
// of the first that is wrong, and of one that nobody has asked for.
type Settings struct {
	c      sdk.Compiler
	values map[string]*structpb.Value
	asked  []string
	err    error
}

// Of returns the settings in md, which may be nil. c stands at the resource.
func Of(c sdk.Compiler, md *corev3.Metadata) *Settings {
	return &Settings{
		c:      c.At("metadata.filter_metadata[" + Namespace + "]"),
		values: md.GetFilterMetadata()[Namespace].GetFields(),
	}
}

// At returns a compiler for errors about a setting.
func (s *Settings) At(name string) sdk.Compiler { return s.c.At(name) }

func (s *Settings) get(name string) *structpb.Value {
	s.asked = append(s.asked, name)
	return s.values[name]
}

func (s *Settings) wrong(name, want string) {
	if s.err == nil {
		s.err = s.c.At(name).Errorf("must be %s", want)
	}
}

// String returns a text, "" when it is not set.
func (s *Settings) String(name string) string {
	v := s.get(name)
	if v == nil {
		return ""
	}
	text, ok := v.GetKind().(*structpb.Value_StringValue)
	if !ok || text.StringValue == "" {
		s.wrong(name, "a text")
		return ""
	}
	return text.StringValue
}

// Uint32 returns a number above 0, 0 when it is not set.
func (s *Settings) Uint32(name string) uint32 {
	v := s.get(name)
	if v == nil {
		return 0
	}
	n, ok := v.GetKind().(*structpb.Value_NumberValue)
	if !ok || n.NumberValue < 1 || n.NumberValue > math.MaxUint32 || n.NumberValue != math.Trunc(n.NumberValue) {
		s.wrong(name, "a whole number from 1 on")
		return 0
	}
	return uint32(n.NumberValue)
}

// Duration returns a time in the form of Envoy's, as "1.5s"; def when it is not set.
func (s *Settings) Duration(name string, def time.Duration) time.Duration {
	v := s.get(name)
	if v == nil {
		return def
	}
	text := v.GetStringValue()
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || !strings.HasSuffix(text, "s") {
		s.wrong(name, `a time such as "1.5s"`)
		return def
	}
	return d
}

// Err returns what is wrong with the settings, once all have been asked for.
func (s *Settings) Err() error {
	if s.err != nil {
		return s.err
	}
	for name := range s.values {
		if !slices.Contains(s.asked, name) {
			return s.c.At(name).Errorf("is not known; there are %s", strings.Join(s.asked, ", "))
		}
	}
	return nil
}
