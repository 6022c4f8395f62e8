package http1

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// newConfig compiles options for tests.
func newConfig(tb testing.TB, side sdk.Side, pb *corev3.Http1ProtocolOptions) *config {
	tb.Helper()
	var o sdk.CodecOptions
	if pb != nil {
		o.Proto = pb
	}
	cfg, err := Codec().Compile(sdktest.NewCompiler(tb), side, o)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg.(*config)
}

// buffer returns an empty buffer.
func buffer() *sdk.Buffer {
	b := new(sdk.Buffer)
	b.Init(sdk.NewBufferPool(8))
	return b
}

// message makes a message of names and values.
func message(fields ...string) *sdk.Message {
	m := new(sdk.Message)
	for i := 0; i < len(fields); i += 2 {
		m.Add(fields[i], fields[i+1])
	}
	return m
}

// downstream is the suite of a server that answers each request with 200.
func downstream(cfg *config) codectest.Suite {
	return codectest.Suite{
		New: cfg.New,
		Open: func(conn sdk.CodecConn, out *sdk.Buffer, ended uint64) bool {
			if ended == 0 {
				return true
			}
			if err := conn.WriteHeaders(out, ended, message(":status", "200"), true); err != nil {
				panic(err)
			}
			return true
		},
	}
}

// upstream is the suite of a client that sends the same request over and over.
func upstream(cfg *config, request *sdk.Message) codectest.Suite {
	return codectest.Suite{
		New: cfg.New,
		Open: func(conn sdk.CodecConn, out *sdk.Buffer, _ uint64) bool {
			if !conn.Reusable() {
				return false
			}
			if err := conn.WriteHeaders(out, conn.NewStream(), request, true); err != nil {
				panic(err)
			}
			return true
		},
	}
}
