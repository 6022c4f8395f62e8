package format

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timePart is a piece of a strftime format: literal text or one conversion.
type timePart struct {
	verb   byte // 0: literal; 'f' and 'S' with digits are fractions of a second
	digits int8 // of 'f' and of 'S' with a fraction; allDigits for as many as there are
	text   string
}

const allDigits = -1

// The verbs that are made up here.
const (
	verbFraction  = 'f' // of a second, digits long
	verbSeconds   = 'x' // seconds with a fraction
	verbZoneColon = 'c' // +00:00
)

// parseTime compiles the argument of START_TIME; empty means ISO 8601 with
// milliseconds, in UTC.
//
// The conversions are strftime's, and as in Envoy %f with a number of digits in
// front (%3f), %E<n>S, %E*S, %E<n>f and %E*f.
func parseTime(s string) ([]timePart, error) {
	var parts []timePart
	for s != "" {
		before, rest, found := strings.Cut(s, "%")
		if before != "" {
			parts = append(parts, timePart{text: before})
		}
		if !found {
			break
		}
		p, n, err := parseVerb(rest)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		s = rest[n:]
	}
	return parts, nil
}

// parseVerb reads one conversion after its percent sign and returns its length.
func parseVerb(s string) (p timePart, n int, err error) {
	extended := strings.HasPrefix(s, "E")
	if extended {
		n++
	}
	digits := int8(0)
	switch {
	case n < len(s) && s[n] >= '1' && s[n] <= '9':
		digits = int8(s[n] - '0')
		n++
	case extended && n < len(s) && s[n] == '*':
		digits = allDigits
		n++
	}
	if n == len(s) {
		return p, n, fmt.Errorf("the time format ends in %q", "%"+s)
	}
	verb := s[n]
	n++
	switch {
	case verb == 'f' && digits != 0:
		return timePart{verb: verbFraction, digits: digits}, n, nil
	case verb == 'f' && !extended:
		return timePart{verb: verbFraction, digits: 9}, n, nil
	case verb == 'S' && extended && digits != 0:
		return timePart{verb: verbSeconds, digits: digits}, n, nil
	case verb == 'z' && extended && digits == 0:
		return timePart{verb: verbZoneColon}, n, nil
	case digits != 0 || extended || !strings.ContainsRune("YmdHMSzZsjaAbBhekIlpyCDFTRuw%", rune(verb)):
		return p, n, fmt.Errorf("the conversion %q is not supported in a time format", "%"+s[:n])
	}
	return timePart{verb: verb}, n, nil
}

// appendTime appends t in its own zone.
func appendTime(dst []byte, parts []timePart, t time.Time) []byte {
	if len(parts) == 0 {
		dst = appendDate(dst, t, '-')
		dst = appendClock(append(dst, 'T'), t)
		return append(appendPadded(append(dst, '.'), t.Nanosecond()/1e6, 3), 'Z')
	}
	for i := range parts {
		dst = parts[i].append(dst, t)
	}
	return dst
}

func (p *timePart) append(dst []byte, t time.Time) []byte {
	switch p.verb {
	case 0:
		return append(dst, p.text...)
	case verbFraction:
		return appendFraction(dst, t.Nanosecond(), p.digits)
	case verbSeconds:
		dst = appendPadded(dst, t.Second(), 2)
		if p.digits == allDigits && t.Nanosecond() == 0 {
			return dst
		}
		return appendFraction(append(dst, '.'), t.Nanosecond(), p.digits)
	case verbZoneColon:
		return t.AppendFormat(dst, "-07:00")
	case 'z':
		return t.AppendFormat(dst, "-0700")
	case 'Z':
		return t.AppendFormat(dst, "MST")
	case '%':
		return append(dst, '%')
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 'H', 'M', 'S', 'I', 'l', 'k', 'p', 'T', 'R':
		return p.appendClock(dst, t)
	}
	return p.appendDate(dst, t)
}

// appendClock handles the conversions of the time of the day.
func (p *timePart) appendClock(dst []byte, t time.Time) []byte {
	switch p.verb {
	case 'H':
		return appendPadded(dst, t.Hour(), 2)
	case 'k':
		return appendSpaced(dst, t.Hour())
	case 'I':
		return appendPadded(dst, (t.Hour()+11)%12+1, 2)
	case 'l':
		return appendSpaced(dst, (t.Hour()+11)%12+1)
	case 'M':
		return appendPadded(dst, t.Minute(), 2)
	case 'S':
		return appendPadded(dst, t.Second(), 2)
	case 'p':
		return append(dst, [...]string{"AM", "PM"}[t.Hour()/12]...)
	case 'R':
		dst = appendPadded(dst, t.Hour(), 2)
		return appendPadded(append(dst, ':'), t.Minute(), 2)
	}
	return appendClock(dst, t) // 'T'
}

// appendDate handles the conversions of the day.
func (p *timePart) appendDate(dst []byte, t time.Time) []byte {
	switch p.verb {
	case 'Y':
		return appendPadded(dst, t.Year(), 4)
	case 'y':
		return appendPadded(dst, t.Year()%100, 2)
	case 'C':
		return appendPadded(dst, t.Year()/100, 2)
	case 'm':
		return appendPadded(dst, int(t.Month()), 2)
	case 'd':
		return appendPadded(dst, t.Day(), 2)
	case 'e':
		return appendSpaced(dst, t.Day())
	case 'j':
		return appendPadded(dst, t.YearDay(), 3)
	case 'a':
		return append(dst, t.Weekday().String()[:3]...)
	case 'A':
		return append(dst, t.Weekday().String()...)
	case 'b', 'h':
		return append(dst, t.Month().String()[:3]...)
	case 'B':
		return append(dst, t.Month().String()...)
	case 'u':
		return appendPadded(dst, (int(t.Weekday())+6)%7+1, 1)
	case 'w':
		return appendPadded(dst, int(t.Weekday()), 1)
	case 'D':
		dst = appendPadded(dst, int(t.Month()), 2)
		dst = appendPadded(append(dst, '/'), t.Day(), 2)
		return appendPadded(append(dst, '/'), t.Year()%100, 2)
	}
	return appendDate(dst, t, '-') // 'F'
}

func appendDate(dst []byte, t time.Time, sep byte) []byte {
	year, month, day := t.Date()
	dst = appendPadded(dst, year, 4)
	dst = appendPadded(append(dst, sep), int(month), 2)
	return appendPadded(append(dst, sep), day, 2)
}

func appendClock(dst []byte, t time.Time) []byte {
	hour, minute, second := t.Clock()
	dst = appendPadded(dst, hour, 2)
	dst = appendPadded(append(dst, ':'), minute, 2)
	return appendPadded(append(dst, ':'), second, 2)
}

// appendPadded appends n with leading zeros.
func appendPadded(dst []byte, n, width int) []byte {
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= start; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}

func appendSpaced(dst []byte, n int) []byte {
	if n < 10 {
		dst = append(dst, ' ')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// appendFraction appends the first digits of nine, or those up to the last that is
// not zero. Envoy knows microseconds at best, so what is below is shown as zeros.
func appendFraction(dst []byte, nanos int, digits int8) []byte {
	start := len(dst)
	dst = appendPadded(dst, nanos/1e3*1e3, 9)
	if digits != allDigits {
		return dst[:start+int(digits)]
	}
	for len(dst) > start+1 && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}
