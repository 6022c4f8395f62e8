package grpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
)

// Service is where an extension calls a method and how: what envoy_grpc says in Envoy's
// core.v3.GrpcService. It is read-only.
type Service struct {
	Cluster   string
	Authority string // the cluster's name in Envoy, when its configuration does not say
	Metadata  []Pair // headers of every call
	Timeout   time.Duration
	Retry     *sdk.CallRetry // nil for never
	Limit     int            // the most bytes of an answer's message; 0: that of calls
	Bare      bool           // without the headers that tell of a call of the proxy's own
}

// Pair is one header.
type Pair struct{ Name, Value string }

// Request makes r the call of a unary method ("/package.Service/Method") with the message
// m. What r holds is used again.
func (s *Service) Request(r *sdk.CallRequest, method string, m proto.Message) error {
	h := &r.Headers
	h.Reset()
	h.AddID(sdk.HeaderMethod, "POST")
	h.AddID(sdk.HeaderPath, method)
	h.AddID(sdk.HeaderAuthority, s.Authority)
	h.AddID(sdk.HeaderScheme, "http")
	SetTimeout(h, s.Timeout)
	h.AddID(sdk.HeaderTE, "trailers")
	h.AddID(sdk.HeaderContentType, ContentType)
	for _, p := range s.Metadata {
		h.Add(p.Name, p.Value)
	}
	r.Timeout, r.Retry, r.Bare = s.Timeout, s.Retry, s.Bare
	if r.Limit = s.Limit; r.Limit > 0 {
		r.Limit += PrefixSize
	}
	var err error
	r.Body, err = AppendMessage(r.Body[:0], m)
	return err
}

// Invoke calls a unary method and waits for the answer, which it reads into out. An error
// of the call itself is a *Status. It is for goroutines; c is the Caller of s.Cluster.
func (s *Service) Invoke(ctx context.Context, c sdk.Caller, method string, in, out proto.Message) error {
	var r sdk.CallRequest
	if err := s.Request(&r, method, in); err != nil {
		return err
	}
	resp, err := c.Call(ctx, &r)
	if err != nil {
		return StatusOf(err)
	}
	return ReadAnswer(resp, out)
}

// Status is how a call has ended that did not succeed.
type Status struct {
	Code    int
	Message string
}

// Error implements error.
func (s *Status) Error() string {
	if s.Message == "" {
		return fmt.Sprintf("gRPC status %d", s.Code)
	}
	return fmt.Sprintf("gRPC status %d: %s", s.Code, s.Message)
}

// StatusOf is what gRPC calls the error of a call.
func StatusOf(err error) *Status {
	var own *Status
	var e *sdk.CallError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.DeadlineExceeded):
		return &Status{DeadlineExceeded, err.Error()}
	case errors.Is(err, context.Canceled):
		return &Status{Cancelled, err.Error()}
	case !errors.As(err, &e):
		return &Status{Unknown, err.Error()}
	}
	s := &Status{StatusOfHTTP(e.Status), e.Text}
	switch {
	case e.Err.Flag&sdk.FlagUpstreamRequestTimeout != 0:
		s.Code = DeadlineExceeded
	case e.Status == 0: // there was an answer, though not a whole one
		s.Code = Internal
	}
	return s
}

// ReadAnswer reads the message of the answer to a unary call into m. A call that has not
// succeeded is a *Status; so is an answer that is not one of gRPC.
func ReadAnswer(resp *sdk.CallResponse, m proto.Message) error {
	end := &resp.Trailers
	if end.Len() == 0 {
		end = &resp.Headers
	}
	code, ok := statusCode(end.ID(sdk.HeaderGRPCStatus))
	switch http := resp.Headers.Status(); {
	case ok && code != OK:
		return &Status{code, strings.Clone(DecodeMessage(end.ID(sdk.HeaderGRPCMessage)))} // outlives the answer
	case http != 200 && !ok:
		return &Status{StatusOfHTTP(http), fmt.Sprintf("HTTP status %d", http)}
	case !ok:
		return &Status{Unknown, "the answer has no status"}
	}
	message, err := onlyMessage(resp.Body)
	if err == nil {
		err = proto.Unmarshal(message, m)
	}
	if err != nil {
		return &Status{Internal, err.Error()}
	}
	return nil
}

// onlyMessage takes the one message from a body.
func onlyMessage(body []byte) ([]byte, error) {
	switch {
	case len(body) < PrefixSize:
		return nil, errors.New("the answer has no message")
	case body[0] != 0:
		return nil, errors.New("the answer's message is compressed")
	case uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-PrefixSize):
		return nil, errors.New("the answer is not of one message")
	}
	return body[PrefixSize:], nil
}

// AppendMessage appends m with its prefix to dst.
func AppendMessage(dst []byte, m proto.Message) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, PrefixSize)...)
	dst, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return dst[:start], err
	}
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-PrefixSize))
	return dst, nil
}

// DecodeMessage undoes EncodeMessage. What is not well escaped stays as it is.
func DecodeMessage(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// unhex is the value of a hexadecimal digit, 16 for what is none.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}
