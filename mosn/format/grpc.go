package format

import (
	"fmt"
	"strconv"

	"sofamesh.io/sofamesh/sdk/grpc"
)

// parseGRPCStatus reads the form of GRPC_STATUS.
func (p *part) parseGRPCStatus(args string) error {
	switch args {
	case "", "CAMEL_STRING":
	case "SNAKE_STRING":
		p.op = opGRPCStatusSnake
	case "NUMBER":
		p.op = opGRPCStatusNumber
	default:
		return fmt.Errorf("%s is not supported, only CAMEL_STRING, SNAKE_STRING and NUMBER", args)
	}
	return nil
}

// appendGRPCStatus appends how a call of gRPC ended: what the trailers say, else the
// head, else what the response code amounts to. Statuses that are none of gRPC's are
// printed as the numbers that they are, and what is no number as -1.
func (p *part) appendGRPCStatus(dst []byte, ctx *Context) ([]byte, kind) {
	if ctx.Request == nil || !grpc.IsRequest(ctx.Request) {
		return dst, missing
	}
	response := 0
	if ctx.Info != nil {
		response = ctx.Info.ResponseCode
	}
	code, ok := grpc.EndOf(ctx.Response, ctx.Trailers, response)
	if !ok {
		return dst, missing
	}
	if p.op != opGRPCStatusNumber && code >= 0 && code < int64(len(camelStatuses)) {
		if p.op == opGRPCStatusSnake {
			return append(dst, snakeStatuses[code]...), text
		}
		return append(dst, camelStatuses[code]...), text
	}
	if p.op == opGRPCStatusNumber {
		return strconv.AppendInt(dst, code, 10), number
	}
	return strconv.AppendInt(dst, code, 10), text
}

// The names of the statuses, by number, as Envoy prints them.
var (
	camelStatuses = [...]string{
		"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
		"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
		"Unauthenticated",
	}
	snakeStatuses = [len(camelStatuses)]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
		"UNAUTHENTICATED",
	}
)
