package grpc

import (
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// ContentType is that of gRPC; "+proto" and the like may follow.
const ContentType = "application/grpc"

// The status codes that the proxy itself gives or reads (statuscodes.md of gRPC).
const (
	OK                = 0
	Cancelled         = 1
	Unknown           = 2
	DeadlineExceeded  = 4
	PermissionDenied  = 7
	ResourceExhausted = 8
	Unimplemented     = 12
	Internal          = 13
	Unavailable       = 14
	DataLoss          = 15
	Unauthenticated   = 16

	maxStatus = 16
)

// HasContentType tells gRPC by its content type, alone or with "+" and a format:
// gRPC-Web ("application/grpc-web") is another protocol.
func HasContentType(h *sdk.Headers) bool {
	format, ok := strings.CutPrefix(h.ID(sdk.HeaderContentType), ContentType)
	return ok && (format == "" || format[0] == '+')
}

// IsRequest reports whether h is the head of a call.
func IsRequest(h *sdk.Headers) bool { return h.HasID(sdk.HeaderPath) && HasContentType(h) }

// IsResponse reports whether h is the head of an answer to a call. One that is all
// there is (end) needs but a status ("Trailers-Only").
func IsResponse(h *sdk.Headers, end bool) bool {
	if end {
		return h.HasID(sdk.HeaderGRPCStatus)
	}
	return h.ID(sdk.HeaderStatus) == "200" && HasContentType(h)
}

// Method cuts a path ("/package.Service/Method", a query is left out) into service and
// method; ok is false when it is not of that form.
func Method(path string) (service, method string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	path = strings.Trim(path, "/")
	service, method, ok = strings.Cut(path, "/")
	method = strings.TrimLeft(method, "/")
	return service, method, ok && !strings.Contains(method, "/")
}

// StatusOfHTTP maps the HTTP status of an answer without a grpc-status
// (http-grpc-status-mapping.md of gRPC). Even 200 is unknown: it says nothing of the call.
func StatusOfHTTP(code int) int {
	switch code {
	case 400:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}

// EndOf returns the status by which a call ended: what the trailers say, else the head, else what the
// status of HTTP amounts to; -1 for what is no number. ok is false when there is nothing
// to tell it by. The headers may be nil, the status 0.
func EndOf(response, trailers *sdk.Headers, status int) (code int64, ok bool) {
	for _, h := range [...]*sdk.Headers{trailers, response} {
		if h == nil {
			continue
		}
		if s := h.ID(sdk.HeaderGRPCStatus); s != "" {
			n, err := strconv.ParseUint(s, 10, 63)
			if err != nil {
				return -1, true
			}
			return int64(n), true
		}
	}
	if status == 0 {
		return 0, false
	}
	return int64(StatusOfHTTP(status)), true
}

// ServerFailed reports whether the end of a call, h, blames the server: its status is one
// that HTTP would tell by 5xx, or none of gRPC's, or missing.
func ServerFailed(h *sdk.Headers) bool {
	code, ok := statusCode(h.ID(sdk.HeaderGRPCStatus))
	if !ok {
		return true
	}
	switch code {
	case Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable, DataLoss:
		return true
	}
	return false
}

// statusCode reads one of gRPC's statuses; strconv would allocate for what is none.
func statusCode(s string) (code int, ok bool) {
	switch {
	case len(s) == 1 && s[0] >= '0' && s[0] <= '9':
		return int(s[0] - '0'), true
	case len(s) == 2 && s[0] == '1' && s[1] >= '0' && s[1] <= '0'+maxStatus%10:
		return 10 + int(s[1]-'0'), true
	}
	return 0, false
}

// EncodeMessage escapes what grpc-message may not hold.
func EncodeMessage(s string) string {
	const hex = "0123456789ABCDEF"
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+16), s[:i]...)
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}

func plain(c byte) bool { return c >= ' ' && c <= '~' && c != '%' }
