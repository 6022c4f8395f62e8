package format

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestGRPCStatus follows Envoy's GrpcStatusFormatter and Common::getGrpcStatus.
func TestGRPCStatus(t *testing.T) {
	for _, c := range []struct {
		name, content, head, trailer string
		code                         int
		want                         string // camel, snake, number
	}{
		{"trailers", "application/grpc", "5", "0", 200, "OK OK 0"},
		{"head", "application/grpc+proto", "1", "", 200, "Canceled CANCELLED 1"},
		{"last", "application/grpc", "16", "", 200, "Unauthenticated UNAUTHENTICATED 16"},
		{"response code", "application/grpc", "", "", 503, "Unavailable UNAVAILABLE 14"},
		{"nothing", "application/grpc", "", "", 0, "- - -"},
		{"the user's own", "application/grpc", "", "99", 200, "99 99 99"},
		{"malformed", "application/grpc", "0", "x\"", 200, "-1 -1 -1"},
		{"negative", "application/grpc", "", "-3", 200, "-1 -1 -1"},
		{"not gRPC", "application/json", "5", "5", 200, "- - -"},
	} {
		ctx := &Context{Info: &sdk.StreamInfo{ResponseCode: c.code}, Request: &sdk.Headers{}, Response: &sdk.Headers{}, Trailers: &sdk.Headers{}}
		ctx.Request.Add(":path", "/a.B/C")
		ctx.Request.Add("content-type", c.content)
		if c.head != "" {
			ctx.Response.Add("grpc-status", c.head)
		}
		if c.trailer != "" {
			ctx.Trailers.Add("grpc-status", c.trailer)
		}
		forms := strings.Fields(c.want)
		camel, snake, number := forms[0], forms[1], forms[2]
		for format, want := range map[string]string{
			"%GRPC_STATUS%": camel, "%GRPC_STATUS(CAMEL_STRING)%": camel, "%GRPC_STATUS(SNAKE_STRING)%": snake,
			"%GRPC_STATUS(NUMBER)%": number, "%GRPC_STATUS_NUMBER%": number,
		} {
			if got := render(t, format, ctx); got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, format, got, want)
			}
		}
	}
	if got := render(t, "%GRPC_STATUS%", &Context{Info: &sdk.StreamInfo{ResponseCode: 200}}); got != "-" {
		t.Errorf("without headers %q", got)
	}
	for _, bad := range []string{"%GRPC_STATUS(camel)%", "%GRPC_STATUS_NUMBER(X)%", "%GRPC_STATUS:3%"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	for i := range camelStatuses {
		if a, b := strings.ToLower(camelStatuses[i]), strings.ToLower(strings.ReplaceAll(snakeStatuses[i], "_", "")); a != b && i != 1 {
			t.Errorf("%d is %s and %s", i, camelStatuses[i], snakeStatuses[i])
		}
	}
}
