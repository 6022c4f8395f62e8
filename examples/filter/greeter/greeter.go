// Package greeter is a filter for mosn: it answers /hello itself, by the name of the
// caller and in the words of the route, and marks every other response with a header.
package greeter

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// Extensions is what "mosn build --with example.com/greeter" adds.
func Extensions() sdk.Extensions {
	return sdk.Extensions{HTTPFilters: []*sdk.HTTPFilter{Filter()}}
}

// Filter returns the filter as an extension.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   "example.com.filters.http.greeter",
		Config: &structpb.Struct{},
		Route:  &structpb.Struct{},
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			w, err := compileWords(c, m)
			return &config{words: w, greeted: c.Stats().Counter("greeter.greeted")}, err
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return compileWords(c, m)
		},
	}
}

// words are what the filter says, in a chain or on a route.
type words struct {
	Greeting string `json:"greeting"`
}

func compileWords(c sdk.Compiler, m proto.Message) (*words, error) {
	w := &words{Greeting: "hello"}
	if err := sdk.DecodeStruct(c, m.(*structpb.Struct), w); err != nil {
		return nil, err
	}
	if w.Greeting == "" {
		return nil, c.At("greeting").Errorf("is empty")
	}
	return w, nil
}

// config is the filter at one place in a chain, shared by all event loops.
type config struct {
	*words
	greeted sdk.Counter
}

// New implements sdk.HTTPConfig.
func (c *config) New(s sdk.Stream) sdk.Filter {
	f := sdk.State[filter](s)
	f.config = c
	return f
}

// Close implements sdk.HTTPConfig.
func (c *config) Close() {}

// filter is the state of one stream. Its memory is used again by later streams.
type filter struct {
	sdk.PassThrough
	config *config
	ours   bool // we answered
}

// OnRequestHeaders answers what is for us.
func (f *filter) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	if s.Request().Path() != "/hello" {
		return sdk.Continue
	}
	w := f.config.words
	if route, ok := s.RouteConfig().(*words); ok {
		w = route
	}
	who := s.Request().Value("x-user")
	if who == "" {
		who = "stranger"
	}
	f.ours = true
	s.Inc(f.config.greeted)
	s.Reply(sdk.Reply{Status: 200, Body: w.Greeting + ", " + who + "\n", Details: "greeter"})
	return sdk.Replied
}

// OnResponseHeaders marks what others answered.
func (f *filter) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	if !f.ours {
		s.Response().Set("x-greeter", f.config.Greeting)
	}
	return sdk.Continue
}
