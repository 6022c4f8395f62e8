package service

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// Retry compiles a RetryPolicy; c stands at it. nil gives nil.
func Retry(c sdk.Compiler, pb *corev3.RetryPolicy) (*sdk.CallRetry, error) {
	if pb == nil {
		return nil, nil
	}
	r := &sdk.CallRetry{On: pb.GetRetryOn(), Attempts: 1}
	if n := pb.GetNumRetries(); n != nil {
		r.Attempts = n.GetValue()
	}
	if b := pb.GetRetryBackOff(); b != nil {
		r.Base = max(b.GetBaseInterval().AsDuration(), time.Millisecond)
		r.Max = 10 * r.Base
		if m := b.GetMaxInterval(); m != nil {
			r.Max = max(m.AsDuration(), time.Millisecond)
		}
		if r.Max < r.Base {
			return nil, c.At("retry_back_off.max_interval").Errorf("is less than base_interval")
		}
	}
	return r, nil
}
