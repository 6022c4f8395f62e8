package sdktest

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

func TestCompilerPaths(t *testing.T) {
	root := NewCompiler(t)
	cause := errors.New("cause")
	if err := root.Errorf("at the root: %w", cause); err.Error() != "at the root: cause" || !errors.Is(err, cause) {
		t.Errorf("root error is %q", err)
	}
	nested := root.At("routes[1]").At("match.prefix")
	err := nested.Errorf("is %d: %w", 7, cause)
	if want := "routes[1].match.prefix: is 7: cause"; err.Error() != want || !errors.Is(err, cause) {
		t.Errorf("nested error is %q, want %q", err, want)
	}
	nested.Warnf("odd")
	if got := root.Warnings(); !slices.Equal(got, []string{"routes[1].match.prefix: odd"}) {
		t.Errorf("warnings are %q", got)
	}
}

func TestCompilerClusters(t *testing.T) {
	c := NewCompiler(t)
	c.AddCluster("known")
	if !c.Cluster("known") || c.At("x").Cluster("other") {
		t.Error("only the declared cluster should be known")
	}
	if got := c.Clusters(); !slices.Equal(got, []string{"known", "other"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestCompilerExtensions(t *testing.T) {
	c := NewCompiler(t)
	f := &sdk.HTTPFilter{Name: "f", Route: &wrapperspb.StringValue{}}
	c.AddHTTPFilter(f)
	for name, config := range map[string]*anypb.Any{"f": nil, "else": Any(t, wrapperspb.String("v"))} {
		if got, err := c.HTTPFilter(name, config); got != f || err != nil {
			t.Errorf("HTTPFilter(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := c.At("a").HTTPFilter("else", Any(t, wrapperspb.Bool(true))); err == nil {
		t.Error("an unknown filter was found")
	}
	k := &sdk.Codec{Name: "k"}
	c.AddCodec(k)
	if got, err := c.Codec("k"); got != k || err != nil {
		t.Errorf("Codec = %v, %v", got, err)
	}
	if _, err := c.Codec("x"); err == nil {
		t.Error("an unknown codec was found")
	}
	m, err := c.Unpack(Any(t, wrapperspb.String("v")))
	if err != nil || m.(*wrapperspb.StringValue).Value != "v" {
		t.Errorf("Unpack = %v, %v", m, err)
	}
	if got := Text[wrapperspb.StringValue](t, `value: "v"`); got.Value != "v" {
		t.Errorf("Text = %v", got)
	}
}

func TestScope(t *testing.T) {
	s := NewScope()
	a := s.Scope("http").Counter("rq")
	if b := s.Counter("http.rq"); a != b || a.ID == 0 {
		t.Errorf("one name has the ids %d and %d", a.ID, b.ID)
	}
	s.Gauge("g")
	if got := s.Names(); !slices.Equal(got, []string{"g", "http.rq"}) {
		t.Errorf("names are %q", got)
	}
	if s.ID("http.rq") != a.ID || s.ID("none") != 0 {
		t.Error("ID disagrees with the handle")
	}
}
