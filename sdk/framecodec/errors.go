package framecodec

import (
	"errors"

	"sofamesh.io/sofamesh/sdk"
)

// errorSet is the errors of one protocol, made once.
type errorSet struct {
	name string

	// What ends the connection: nobody can tell any more where the next frame begins,
	// or whose it is.
	head, size, lengths, kind, duplicate, tooMany, cutOff, shortBody *sdk.CodecError
	// What refuses one request.
	service, headers *sdk.CodecError
	// What we are asked to write and must not, or cannot.
	foreign, order, length, queue, noReply *sdk.CodecError
}

func makeErrors(name string) *errorSet {
	fatal := func(details, text string) *sdk.CodecError {
		return &sdk.CodecError{Details: name + "." + details, Text: name + ": " + text}
	}
	refused := func(details, text string) *sdk.CodecError {
		e := fatal(details, text)
		e.Status, e.Stream = 400, true
		return e
	}
	return &errorSet{
		name:      name,
		head:      fatal("head_too_large", "the head of a frame is over the limit"),
		size:      fatal("frame_too_large", "a frame is over the limit"),
		lengths:   fatal("lengths", "the lengths of a frame cannot be"),
		kind:      fatal("kind", "a frame of no known kind"),
		duplicate: fatal("duplicate_id", "a request has the id of one that is still open"),
		tooMany:   fatal("too_many_requests", "more open requests than the limit"),
		cutOff:    fatal("cut_off", "the connection ended within a frame"),
		shortBody: fatal("body_length", "a body was ended before its announced length"),
		service:   refused("invalid_target", "service or method is missing or has an invalid character"),
		headers:   refused("too_many_headers", "too many headers"),
		foreign:   fatal("foreign", "a message of another protocol cannot be written"),
		order:     fatal("order", "a head for a stream that is not open, or a second one"),
		length:    fatal("length", "the content of a message cannot get another length"),
		queue:     fatal("queue", "too much waits for the frame that is being written"),
		noReply:   fatal("no_reply", "the protocol has no reply for this"),
	}
}

// of makes an error of one of the protocol's functions fit for the connection's owner.
func (s *errorSet) of(err error) *sdk.CodecError {
	var c *sdk.CodecError
	if errors.As(err, &c) && c.Details != "" {
		return c
	}
	wrapped := sdk.CodecError{Details: s.name + ".malformed", Text: s.name + ": " + err.Error()}
	if c != nil {
		wrapped.Status, wrapped.Stream = c.Status, c.Stream
	}
	return &wrapped
}
