package format

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// whose says what the metadata is of that an operator prints.
type whose uint8

const (
	ofStream whose = iota
	ofListener
	ofVirtualHost
	ofRoute
	ofCluster
	ofHost
)

// parseMetadata reads "namespace:key:key..."; that of METADATA has whose it is in front.
func (p *part) parseMetadata(name, args string) error {
	switch name {
	case "CLUSTER_METADATA":
		p.whose = ofCluster
	case "UPSTREAM_METADATA":
		p.whose = ofHost
	case "METADATA":
		var kind string
		kind, args, _ = strings.Cut(args, ":")
		var ok bool
		if p.whose, ok = map[string]whose{
			"DYNAMIC": ofStream, "LISTENER": ofListener, "VIRTUAL_HOST": ofVirtualHost, "ROUTE": ofRoute, "CLUSTER": ofCluster,
			"UPSTREAM_HOST": ofHost,
		}[kind]; !ok {
			return fmt.Errorf("there is no metadata of type %q", kind)
		}
	}
	p.text, args, _ = strings.Cut(args, ":")
	if args != "" {
		p.path = strings.Split(args, ":")
	}
	return nil
}

// appendMetadata appends a string as it reads, anything else as JSON.
func (p *part) appendMetadata(dst []byte, info *sdk.StreamInfo) ([]byte, kind) {
	v := p.metadata(info).Get(p.text, p.path...)
	switch {
	case !v.Exists():
		return dst, missing
	case v.Kind() == sdk.StringValue:
		return append(dst, truncate(v.Text(), p.limit)...), text
	}
	return appendValue(dst, v), raw
}

func (p *part) metadata(info *sdk.StreamInfo) *sdk.Metadata {
	switch p.whose {
	case ofListener:
		return info.ListenerMetadata
	case ofVirtualHost:
		return info.VirtualHostMetadata
	case ofRoute:
		return info.RouteMetadata
	case ofCluster:
		return info.ClusterMetadata
	case ofHost:
		return info.HostMetadata
	}
	return &info.Dynamic
}

// appendValue appends v as JSON, structs sorted by name; null when there is none.
func appendValue(dst []byte, v sdk.Value) []byte {
	switch v.Kind() {
	case sdk.BoolValue:
		return strconv.AppendBool(dst, v.Bool())
	case sdk.NumberValue:
		return appendFloat(dst, v.Number())
	case sdk.StringValue:
		return appendQuoted(dst, v.Text())
	case sdk.ListValue:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, v.At(i))
		}
		return append(dst, ']')
	case sdk.StructValue:
		dst = append(dst, '{')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, v.NameAt(i)), ':')
			dst = appendValue(dst, v.At(i))
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := len(dst)
	dst = append(dst, s...)
	return append(escapeJSON(dst, start), '"')
}

// appendFloat appends the shortest text that is f again, with an exponent where that is
// shorter, as Envoy does: 1e+05, but 123456. What JSON has no number for is null.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	var short [32]byte
	if e := strconv.AppendFloat(short[:0], f, 'e', -1, 64); len(e) < len(dst)-start {
		return append(dst[:start], e...)
	}
	return dst
}
