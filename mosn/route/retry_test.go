package route

import (
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// TestBackoff: the wait is random below base * (2^n - 1), cut at the maximum.
func TestBackoff(t *testing.T) {
	const base, most = 20 * time.Millisecond, 100 * time.Millisecond
	for n, limit := range []time.Duration{0, 20, 60, 100, 100} {
		limit *= time.Millisecond
		top := time.Duration(0)
		for i := range uint64(1000) {
			d := Backoff(base, most, uint32(n), i*0x9e3779b97f4a7c15)
			if d < 0 || d >= limit && limit > 0 || limit == 0 && d != 0 {
				t.Fatalf("retry %d waits %v, limit %v", n, d, limit)
			}
			top = max(top, d)
		}
		if top < limit*9/10 {
			t.Errorf("retry %d waits at most %v of %v", n, top, limit)
		}
	}
	if d := Backoff(base, most, 4000, 1<<62); d >= most { // no overflow
		t.Errorf("waits %v", d)
	}
}

func TestRetryOnResponse(t *testing.T) {
	for _, tc := range []struct {
		on, status, name, value string
		want                    bool
	}{
		{"5xx", "500", "", "", true},
		{"5xx", "499", "", "", false},
		{"gateway-error", "500", "", "", false},
		{"gateway-error", "504", "", "", true},
		{"retriable-4xx", "409", "", "", true},
		{"5xx", "503", "x-envoy-ratelimited", "true", false},
		{"envoy-ratelimited", "200", "x-envoy-ratelimited", "true", true},
		{"unavailable", "200", "grpc-status", "14", true},
		{"unavailable", "200", "grpc-status", "13", false},
		{"internal", "200", "grpc-status", "13", true},
		{"cancelled", "200", "grpc-status", "1", true},
		{"deadline-exceeded", "200", "grpc-status", "4", true},
		{"resource-exhausted", "200", "grpc-status", "8", true},
		{"5xx,unavailable", "200", "grpc-status", "0", false},
		{"", "503", "", "", false},
	} {
		on, _ := ParseRetryOn(tc.on)
		var h sdk.Headers
		h.AddID(sdk.HeaderStatus, tc.status)
		if tc.name != "" {
			h.Add(tc.name, tc.value)
		}
		if got := on.Response(&h); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func TestRetryOnReset(t *testing.T) {
	for _, tc := range []struct {
		on     string
		reason sdk.ResetReason
		sent   bool
		want   bool
	}{
		{"reset", sdk.ResetConnLost, true, true},
		{"5xx", sdk.ResetRemote, true, true},
		{"reset", sdk.ResetOverflow, false, false},
		{"refused-stream", sdk.ResetRefused, true, true},
		{"refused-stream", sdk.ResetRemote, true, false},
		{"connect-failure", sdk.ResetConnFailure, false, true},
		{"connect-failure", sdk.ResetConnTimeout, false, true},
		{"connect-failure", sdk.ResetConnLost, true, false},
		{"reset-before-request", sdk.ResetConnLost, false, true},
		{"reset-before-request", sdk.ResetConnLost, true, false},
		{"", sdk.ResetConnLost, true, false},
	} {
		on, _ := ParseRetryOn(tc.on)
		if got := on.Reset(&sdk.Error{Reset: tc.reason}, tc.sent); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}
