package tracing

import (
	"flag"
	"io"
	"net/http"
	"os"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

var show = flag.String("show", "", "write what Envoy did to this file")

func TestEnvoy(t *testing.T) {
	envoy, err := peers.EnvoyBinary()
	if err != nil {
		t.Skipf("no Envoy to compare with: %v", err)
	}
	list := cases()
	r := start(t, envoy, "envoy", list, newCollector(t), "")
	out := ""
	for _, c := range list {
		out += "=== " + c.name + "\n" + r.run(c)
	}
	if resp, err := http.Get("http://" + r.admin + "/stats?filter=tracing"); err == nil {
		b, _ := io.ReadAll(resp.Body)
		out += string(b)
	}
	if *show != "" {
		_ = os.WriteFile(*show, []byte(out), 0o600)
	}
}
