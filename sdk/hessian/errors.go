package hessian

import "fmt"

// Reason says what kind of fault an Error is.
type Reason uint8

const (
	// Truncated means that the bytes ended too early: with more of them the same
	// call could succeed.
	Truncated Reason = iota
	// Malformed means that no continuation makes the bytes right.
	Malformed
	// Exceeded means that a limit was reached.
	Exceeded
	// Refused means that the bytes are Hessian, but that what they say is not
	// taken: readers may disagree about it.
	Refused
)

// Error is the error of all functions of this package.
type Error struct {
	Offset int // in bytes from the start of the body; of the value's first byte or near it
	Reason Reason
	What   string // what was wrong, a constant text without bytes of the body
}

func (e *Error) Error() string { return fmt.Sprintf("hessian: at byte %d: %s", e.Offset, e.What) }
