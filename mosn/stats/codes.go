package stats

import "strconv"

// codeClasses is how many classes of response codes there are: 1xx to 5xx.
const codeClasses = 5

// Response codes that have a counter of their own: those registered with IANA, and
// those that Envoy and nginx are known to send. Others are counted in their class
// alone, so that a backend cannot make names.
var codes = [...]uint16{
	100, 101, 102, 103,
	200, 201, 202, 203, 204, 205, 206, 207, 208, 226,
	300, 301, 302, 303, 304, 305, 307, 308,
	400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 444, 451, 460, 463, 464, 494, 495, 496, 497, 499,
	500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 521, 522, 523, 524, 525, 526, 527, 530, 561, 598, 599,
}

// Codes finds the counter of a response code. Make one and share it; it is
// immutable.
type Codes struct {
	index [500]uint8 // by code - 100; 0 when the code has none
}

// NewCodes returns the table.
func NewCodes() *Codes {
	c := &Codes{}
	for i, code := range codes {
		c.index[code-100] = uint8(codeClasses + i)
	}
	return c
}

// Names returns names for List.Lazy: prefix+"1xx" to prefix+"5xx", then
// prefix+code. Envoy's prefix is "upstream_rq_".
func (c *Codes) Names(prefix string) []string {
	names := make([]string, 0, codeClasses+len(codes))
	for class := 1; class <= codeClasses; class++ {
		names = append(names, prefix+strconv.Itoa(class)+"xx")
	}
	for _, code := range codes {
		names = append(names, prefix+strconv.Itoa(int(code)))
	}
	return names
}

// Class returns the index within Names of a code's class; ok is false for what is
// no response code.
func (c *Codes) Class(code int) (i int, ok bool) {
	if code < 100 || code > 599 {
		return 0, false
	}
	return code/100 - 1, true
}

// Code returns the index within Names of a code; ok is false when it has no counter
// of its own.
func (c *Codes) Code(code int) (i int, ok bool) {
	if code < 100 || code > 599 || c.index[code-100] == 0 {
		return 0, false
	}
	return int(c.index[code-100]), true
}
