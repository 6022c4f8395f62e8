package bolt

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// orderedBody is the content with the fields in any order, "name" or "name=value".
func orderedBody(fields ...string) string {
	short := func(s string) string { return string([]byte{byte(len(s))}) + s }
	names, values := "", ""
	for _, f := range fields {
		name, value, ok := strings.Cut(f, "=")
		names += short(name)
		if ok {
			values += short(value)
		} else {
			values += "N"
		}
	}
	return "O\xbc" + hessian.SofaRequestClass + string([]byte{byte(0x90 + len(fields))}) + names + "o\x90" + values
}

// TestShare: who may share a connection with whom.
func TestShare(t *testing.T) {
	java := hessianCall(javaBody("a.B:1.0", "m", "x"))
	json := call(7, java.content)
	json.serial = serialJSON
	classed := java
	classed.class = "java.lang.String"
	for _, c := range []struct {
		name string
		msg  msg
		want uint8
	}{
		{"Java", java, shareJava}, {"JSON", json, shareJava}, {"bare Bolt", classed, shareBare},
		{"another client", hessianCall(sofaBody("a.B:1.0", "m", "x")), shareOther},
		{"Java's first field", hessianCall(orderedBody("targetAppName", "requestProps=x", "targetServiceUniqueName=a.B:1.0", "methodName=m", "methodArgSigs")), shareOther},
		{"Node", hessianCall(orderedBody("methodName=m", "methodArgSigs", "targetServiceUniqueName=a.B:1.0", "targetAppName", "requestProps")), shareNode},
	} {
		if m, err := decoded(t, c.msg); err != nil || m.Share != c.want {
			t.Errorf("%s: %d, %v", c.name, m.Share, err)
		}
	}
}

// TestOneDefinition: a server that keeps the first definition would read the second
// request's method from the field that we take for its properties. Clients that are
// known have connections of their own, wherever the test puts them.
func TestOneDefinition(t *testing.T) {
	first := hessianCall(orderedBody("a", "methodName=allowed", "targetServiceUniqueName=a.B:1.0", "requestProps"))
	evil := hessianCall(orderedBody("a", "requestProps=forbidden", "targetServiceUniqueName=a.B:1.0", "methodName=allowed"))
	java := hessianCall(javaBody("a.B:1.0", "m"))
	codec := Codec(Limits{})
	configs := make([]sdk.CodecConfig, 0, 3) // two listeners, one cluster
	for _, side := range []sdk.Side{sdk.Downstream, sdk.Downstream, sdk.Upstream} {
		cfg, err := codec.Compile(nil, side, sdk.CodecOptions{})
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, cfg)
	}
	c, out := configs[2].New(), buffer()
	for i, s := range []struct {
		msg  msg
		want error
	}{{first, nil}, {first, nil}, {evil, errWriter}, {java, nil}, {first, nil}} {
		m := head(t, configs[i%2].New(), s.msg)
		if err := c.WriteHeaders(out, c.NewStream(), m, false); err != s.want {
			t.Errorf("request %d: %v, want %v", i, err, s.want)
		}
		c.WriteData(out, uint64(i+1)<<32|uint64(i+1), []byte(s.msg.content), true)
	}
}
