package hpack

import "sofamesh.io/sofamesh/sdk"

// staticLen is the number of entries of the static table.
const staticLen = 61

// staticEntry is an entry of the static table as a line.
type staticEntry struct {
	line        string // "name: value" and CRLF
	name, value int    // their lengths
	id          sdk.HeaderID
}

// static is the table of RFC 7541, appendix A; index 0 is not used.
var static = makeStatic()

func makeStatic() (t [staticLen + 1]staticEntry) {
	list := [...][2]string{
		{":authority", ""}, {":method", "GET"}, {":method", "POST"}, {":path", "/"}, {":path", "/index.html"},
		{":scheme", "http"}, {":scheme", "https"}, {":status", "200"}, {":status", "204"}, {":status", "206"},
		{":status", "304"}, {":status", "400"}, {":status", "404"}, {":status", "500"}, {"accept-charset", ""},
		{"accept-encoding", "gzip, deflate"}, {"accept-language", ""}, {"accept-ranges", ""}, {"accept", ""},
		{"access-control-allow-origin", ""}, {"age", ""}, {"allow", ""}, {"authorization", ""}, {"cache-control", ""},
		{"content-disposition", ""}, {"content-encoding", ""}, {"content-language", ""}, {"content-length", ""},
		{"content-location", ""}, {"content-range", ""}, {"content-type", ""}, {"cookie", ""}, {"date", ""}, {"etag", ""},
		{"expect", ""}, {"expires", ""}, {"from", ""}, {"host", ""}, {"if-match", ""}, {"if-modified-since", ""},
		{"if-none-match", ""}, {"if-range", ""}, {"if-unmodified-since", ""}, {"last-modified", ""}, {"link", ""},
		{"location", ""}, {"max-forwards", ""}, {"proxy-authenticate", ""}, {"proxy-authorization", ""}, {"range", ""},
		{"referer", ""}, {"refresh", ""}, {"retry-after", ""}, {"server", ""}, {"set-cookie", ""},
		{"strict-transport-security", ""}, {"transfer-encoding", ""}, {"user-agent", ""}, {"vary", ""}, {"via", ""},
		{"www-authenticate", ""},
	}
	for i, f := range list {
		t[i+1] = staticEntry{f[0] + ": " + f[1] + "\r\n", len(f[0]), len(f[1]), sdk.LookupHeader(f[0])}
	}
	return t
}

// staticIDs maps the well-known headers to the static entries of their names, 0
// for none.
var staticIDs = makeStaticIDs()

func makeStaticIDs() (t [256]uint8) {
	for i := staticLen; i > 0; i-- {
		if id := static[i].id; id != sdk.HeaderOther {
			t[id] = uint8(i)
		}
	}
	return t
}

// staticName returns the static entry of a name that is not well-known, 0 for none.
func staticName(name string) int {
	switch name {
	case "accept-charset":
		return 15
	case "accept-language":
		return 17
	case "accept-ranges":
		return 18
	case "access-control-allow-origin":
		return 20
	case "age":
		return 21
	case "allow":
		return 22
	case "content-disposition":
		return 25
	case "content-encoding":
		return 26
	case "content-language":
		return 27
	case "content-location":
		return 29
	case "content-range":
		return 30
	case "expires":
		return 36
	case "from":
		return 37
	case "if-match":
		return 39
	case "if-modified-since":
		return 40
	case "if-none-match":
		return 41
	case "if-range":
		return 42
	case "if-unmodified-since":
		return 43
	case "last-modified":
		return 44
	case "link":
		return 45
	case "max-forwards":
		return 47
	case "proxy-authenticate":
		return 48
	case "proxy-authorization":
		return 49
	case "range":
		return 50
	case "refresh":
		return 52
	case "retry-after":
		return 53
	case "set-cookie":
		return 55
	case "strict-transport-security":
		return 56
	case "vary":
		return 59
	case "www-authenticate":
		return 61
	}
	return 0
}

// staticField returns the static entry that has both name and value, 0 for none.
func staticField(id sdk.HeaderID, value string) int {
	switch id {
	case sdk.HeaderMethod:
		switch value {
		case "GET":
			return 2
		case "POST":
			return 3
		}
	case sdk.HeaderPath:
		switch value {
		case "/":
			return 4
		case "/index.html":
			return 5
		}
	case sdk.HeaderScheme:
		switch value {
		case "http":
			return 6
		case "https":
			return 7
		}
	case sdk.HeaderStatus:
		switch value {
		case "200":
			return 8
		case "204":
			return 9
		case "206":
			return 10
		case "304":
			return 11
		case "400":
			return 12
		case "404":
			return 13
		case "500":
			return 14
		}
	case sdk.HeaderAcceptEncoding:
		if value == "gzip, deflate" {
			return 16
		}
	}
	return 0
}
