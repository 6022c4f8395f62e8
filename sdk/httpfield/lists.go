package httpfield

import "strings"

// EqualFold compares s with a lower-case token, ignoring the case of letters.
func EqualFold(s, token string) bool {
	if len(s) != len(token) {
		return false
	}
	for i := range len(s) {
		if tokenLower[s[i]] != token[i] {
			return false
		}
	}
	return true
}

// HasToken reports whether a list of tokens (RFC 9110, 5.6.1) holds the given
// lower-case one.
func HasToken(list, token string) bool {
	for list != "" {
		var item string
		item, list = NextToken(list)
		if EqualFold(item, token) {
			return true
		}
	}
	return false
}

// NextToken splits a list after its first element.
func NextToken(list string) (item, rest string) {
	i := strings.IndexByte(list, ',')
	if i < 0 {
		return strings.Trim(list, " \t"), ""
	}
	return strings.Trim(list[:i], " \t"), list[i+1:]
}

// ParseLength parses 1*DIGIT (RFC 9110, 8.6): no sign, no list, no blanks.
func ParseLength(s string) (uint64, bool) {
	var n uint64
	for i := range len(s) {
		d := uint64(s[i] - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(s) > 0
}
