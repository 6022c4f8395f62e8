package service

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// GRPC compiles a GrpcService; c stands at it. timeout is for calls if it does not say.
func GRPC(c sdk.Compiler, pb *corev3.GrpcService, timeout time.Duration) (*grpc.Service, error) {
	e := pb.GetEnvoyGrpc()
	if e == nil { // its own rules demand one of the two
		return nil, c.At("google_grpc").Errorf("is not supported: use envoy_grpc")
	}
	s := &grpc.Service{
		Cluster:   e.GetClusterName(),
		Authority: cmp.Or(e.GetAuthority(), e.GetClusterName()),
		Timeout:   timeoutOf(pb.GetTimeout(), timeout),
		Limit:     int(e.GetMaxReceiveMessageLength().GetValue()),
		Bare:      e.GetSkipEnvoyHeaders(),
	}
	for i, h := range pb.GetInitialMetadata() {
		at := c.At(fmt.Sprintf("initial_metadata[%d]", i))
		value, err := plainValue(at, cmp.Or(h.GetValue(), string(h.GetRawValue())))
		if err != nil {
			return nil, err
		}
		s.Metadata = append(s.Metadata, grpc.Pair{Name: strings.ToLower(h.GetKey()), Value: value})
	}
	var err error
	s.Retry, err = Retry(c.At("retry_policy"), pb.GetRetryPolicy())
	return s, err
}

// plainValue takes a header's value without operators, in which %% stands for %: a call
// is of no stream whose values could take their place.
func plainValue(c sdk.Compiler, s string) (string, error) {
	plain := strings.ReplaceAll(s, "%%", "")
	switch {
	case strings.ContainsAny(s, "\r\n\x00"):
		return "", c.Errorf("a header value has no CR, LF or NUL")
	case strings.Contains(plain, "%"):
		return "", c.Errorf("%q: operators are not supported here", s)
	}
	return strings.ReplaceAll(s, "%%", "%"), nil
}

// timeoutOf is a configured timeout in whole milliseconds; 0, which is none in Envoy, and
// what is not set are def.
func timeoutOf(pb *durationpb.Duration, def time.Duration) time.Duration {
	if d := pb.AsDuration().Truncate(time.Millisecond); d > 0 {
		return d
	}
	return def
}
