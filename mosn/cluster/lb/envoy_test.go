package lb

import (
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestSameHostAsEnvoy compares with the choices of Envoy 1.40.0, recorded with four
// hosts on 127.0.0.1:29911 to 29914 (weights 1, 2, 3, 1 where weighted) and a header
// hash policy over the values key0 to key39. A mesh in which both proxies run keeps
// a key on its host whichever of them carries the request.
func TestSameHostAsEnvoy(t *testing.T) {
	for _, c := range []struct {
		name     string
		policy   sdk.LBPolicy
		weighted bool
		want     string // the index of the host for each key
	}{
		{"ring", RingHash(RingOptions{}), false, "1020203100031203221330110130321321111233"},
		{"ring, weighted", RingHash(RingOptions{}), true, "1122203100031222221330110131121321112233"},
		{"ring, murmur2", RingHash(RingOptions{Murmur2: true}), false, "2132222322120233023132021310020313311322"},
		{"maglev", Maglev(0), false, "0112130232200312101132210212030231100013"},
		{"maglev, weighted", Maglev(0), true, "0112122212202312111122212212230221100223"},
		{"maglev of 251, weighted", Maglev(251), true, "3222022122312210323321022223121121023221"},
	} {
		hs := equal(4)
		for i := range hs {
			hs[i].Key = "127.0.0.1:" + itoa(29911+i)
			if c.weighted {
				hs[i].Weight = []uint32{1, 2, 3, 1}[i]
			}
		}
		p := c.policy.Build(hs).Picker(1)
		got := ""
		for i := range 40 {
			got += itoa(p.Pick(&sdk.LBContext{Hash: Hash("key" + itoa(i)), HasHash: true}))
		}
		if got != c.want {
			t.Errorf("%s:\n%s, Envoy\n%s", c.name, got, c.want)
		}
	}
}
