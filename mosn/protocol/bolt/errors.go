package bolt

import "sofamesh.io/sofamesh/sdk"

// What ends the connection: nobody can tell any more where the next frame begins.
var (
	errProtocol   = fatal("bolt.protocol", "bolt: not a frame of version 1 or 2")
	errType       = fatal("bolt.type", "bolt: an unknown type or command, or one that does not fit the other")
	errContent    = fatal("bolt.frame_too_large", "bolt: a frame is over the limit or has a negative length")
	errHeaders    = fatal("bolt.headers_too_large", "bolt: the header map is over the limit")
	errClass      = fatal("bolt.class_too_long", "bolt: the class name is over the limit")
	errCRC        = fatal("bolt.crc_mismatch", "bolt: the CRC is wrong")
	errDuplicate  = fatal("bolt.duplicate_id", "bolt: a request has the id of one that is still open")
	errTooMany    = fatal("bolt.too_many_requests", "bolt: more open requests than the limit")
	errReverseMap = fatal("bolt.reverse_header_map", "bolt: the header map of a server's request is malformed, or has too many headers")
	errCutOff     = fatal("bolt.cut_off", "bolt: the connection ended within a frame")
	errShortBody  = fatal("bolt.body_length", "bolt: a body was ended before its announced length")
)

// What refuses one call.
var (
	errMap       = refused("bolt.header_map", "bolt: the header map is malformed")
	errCount     = refused("bolt.too_many_headers", "bolt: too many headers")
	errSpelling  = refused("bolt.identity_headers", "bolt: a header that names the target is there twice or in another case")
	errTargets   = refused("bolt.target_mismatch", "bolt: the headers service and sofa_head_target_service differ")
	errBodyNames = refused("bolt.body_mismatch", "bolt: the body names another service or method than the headers")
	errBody      = refused("bolt.body_unreadable", "bolt: service and method cannot be read at the beginning of the body")
	errSerial    = refused("bolt.unknown_serialization", "bolt: service and method cannot be read in this serialization")
	errNoName    = refused("bolt.no_target", "bolt: the call names no service or no method")
	errBadName   = refused("bolt.invalid_target", "bolt: an invalid character in the service or method")
)

// What we are asked to write and must not, or cannot.
var (
	errForeign     = fatal("", "bolt: a message of another protocol cannot be written as a request")
	errWriteOrder  = fatal("", "bolt: a head for a stream that is not open, or a second one")
	errWriteLength = fatal("", "bolt: content-length to be written is missing, malformed or over the limit")
	errWriteMap    = fatal("", "bolt: the edited header map is over 65535 bytes, or no longer the message's own")
	errWriter      = fatal("", "bolt: another definition of SofaRequest than the connection has had so far")
	errQueue       = fatal("", "bolt: too much waits for the frame that is being written")
)

func fatal(details, text string) *sdk.CodecError {
	return &sdk.CodecError{Details: details, Text: text}
}

func refused(details, text string) *sdk.CodecError {
	return &sdk.CodecError{Status: 400, Details: details, Text: text, Stream: true}
}
