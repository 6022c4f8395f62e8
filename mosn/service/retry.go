package service

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"

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
	for i, h := range pb.GetRetryHostPredicate() {
		// As in Envoy the type says which it is, not the name.
		if !h.GetTypedConfig().MessageIs(&previoushostsv3.PreviousHostsPredicate{}) {
			return nil, c.At(fmt.Sprintf("retry_host_predicate[%d]", i)).Errorf("extension %q is not supported", h.GetName())
		}
		r.Elsewhere = max(1, int(pb.GetHostSelectionRetryMaxAttempts()))
	}
	return r, nil
}
