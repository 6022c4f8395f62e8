package yamlpb

import (
	"fmt"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// FuzzDecode: no text makes the reader panic or run away, and JSON that protojson
// reads too means the same to both.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		if doc, err := ParseYAML("f", text); err == nil {
			m := &bootstrapv3.Bootstrap{}
			if doc.Decode(m, options()) == nil {
				if _, err := proto.Marshal(m); err != nil {
					t.Errorf("cannot be marshalled: %v", err)
				}
			}
			doc.Line("static_resources.clusters[0].load_assignment.endpoints[1]")
		}
		doc, err := ParseJSON("f", text)
		if err != nil {
			return
		}
		ours, theirs := &bootstrapv3.Bootstrap{}, &bootstrapv3.Bootstrap{}
		if doc.Decode(ours, options()) != nil || protojson.Unmarshal(text, theirs) != nil {
			return
		}
		if !proto.Equal(ours, theirs) {
			t.Errorf("%s\nreads as %v\nprotojson %v", text, ours, theirs)
		}
	})
}

// clusters writes a bootstrap with n clusters.
func clusters(n int) []byte {
	var b strings.Builder
	b.WriteString("static_resources:\n  clusters:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: cluster-%d
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: cluster-%d
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %d } } }
`, i, i, 1000+i)
	}
	return []byte(b.String())
}

func BenchmarkThousandClusters(b *testing.B) {
	text := clusters(1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		doc, err := ParseYAML("b", text)
		if err != nil {
			b.Fatal(err)
		}
		if err := doc.Decode(new(bootstrapv3.Bootstrap), options()); err != nil {
			b.Fatal(err)
		}
	}
}
