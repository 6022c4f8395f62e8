package servicekey

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
)

func update() bool { return flag.Lookup("update").Value.(flag.Getter).Get().(bool) }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite testdata/hosts.txt")
	flag.Parse()
	os.Exit(m.Run())
}

// TestHosts compares with testdata/hosts.txt: protocol, interface, version and
// group, quoted, and the host.
func TestHosts(t *testing.T) {
	const file = "testdata/hosts.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	names := map[string]Protocol{"other": Other, "sofarpc": SOFARPC, "dubbo": Dubbo}
	cases := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			fmt.Fprintln(&out, line)
			continue
		}
		key, want, _ := strings.Cut(line, " = ")
		var protocol string
		var k Key
		if _, err := fmt.Sscanf(key, "%s %q %q %q", &protocol, &k.Interface, &k.Version, &k.Group); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		known := false
		if k.Protocol, known = names[protocol]; !known {
			t.Fatalf("%s: unknown protocol", line)
		}
		got := k.Host()
		cases++
		if got != want && !update() {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
		if !validName(got) {
			t.Errorf("%s: %q is no DNS name", key, got)
		}
		fmt.Fprintf(&out, "%s = %s\n", key, got)
	}
	if cases < 40 {
		t.Errorf("%d cases", cases)
	}
	if update() {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// validName is RFC 1123's host name, in lower case.
func validName(s string) bool {
	const alnum = "abcdefghijklmnopqrstuvwxyz0123456789"
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool { return !strings.ContainsRune(alnum+"-", c) }) {
			return false
		}
	}
	return len(s) <= 253
}

// random returns a text of up to n pieces of the alphabet.
func random(rng *rand.Rand, n int, alphabet ...string) string {
	var b strings.Builder
	for range rng.IntN(n + 1) {
		b.WriteString(alphabet[rng.IntN(len(alphabet))])
	}
	return b.String()
}

func TestAlwaysValid(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	odd := []string{"a", "Z", "9", ".", "-", "_", "$", ":", "/", "é", "\x00", "\xff", "g-", "v-", "com.acme.", strings.Repeat("x", 60)}
	for range 20000 {
		k := Key{Protocol(rng.IntN(3)), random(rng, 20, odd...), random(rng, 6, odd...), random(rng, 6, odd...)}
		if h := k.Host(); !validName(h) {
			t.Fatalf("%+q: %q", k, h)
		}
	}
}

// TestInjective makes keys that nothing is folded in, from few pieces, so that
// many are much alike, and expects no two to meet.
func TestInjective(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	plain := []string{"a", "b", "g", "v", "1", "a-a", "a.b", "g-a.a", "v-1.a", ".", strings.Repeat("l", 61), "a:b", "é"}
	part := []string{"a", "b", "1", "a-1", ":", strings.Repeat("l", 61)}
	seen := map[string]Key{}
	for range 30000 {
		k := Key{Dubbo, random(rng, 5, plain...), random(rng, 3, part...), random(rng, 3, part...)}
		h := k.Host()
		if other, ok := seen[h]; ok && other != k {
			t.Fatalf("%+q and %+q are %q", k, other, h)
		}
		seen[h] = k
	}
	if len(seen) < 10000 {
		t.Errorf("only %d hosts", len(seen))
	}
}

// TestFolding checks that what the package folds is folded everywhere, also
// where a label is cut and digested.
func TestFolding(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pieces := []string{"a", "B", "c.", "$", "_", "é", "long-Label-" + strings.Repeat("X", 40)}
	dashes := strings.NewReplacer("$", "-", "_", "-")
	dots := strings.NewReplacer("$", "-", "_", "-", ".", "-")
	lower := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "É", "é") }
	for range 5000 {
		k := Key{Other, random(rng, 9, pieces...), random(rng, 4, pieces...), random(rng, 4, pieces...)}
		folded := Key{Other, dashes.Replace(lower(k.Interface)), dots.Replace(lower(k.Version)), dots.Replace(lower(k.Group))}
		if a, b := k.Host(), folded.Host(); a != b {
			t.Fatalf("%+q: %q, folded %q", k, a, b)
		}
	}
}

func TestAppend(t *testing.T) {
	k := Key{Dubbo, "com.acme.Hello" + strings.Repeat(".verylong", 40), "2.0", "blue"}
	dst := []byte("before:")
	if got, want := string(Append(dst, k)), "before:"+k.Host(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if string(dst) != "before:" {
		t.Errorf("dst is %q", dst)
	}
}

func TestCollisions(t *testing.T) {
	a := Key{SOFARPC, "com.acme.Outer$Inner", "1.0", ""}
	b := Key{SOFARPC, "com.acme.Outer_Inner", "", ""}
	upper := Key{Dubbo, "com.acme.OUTER-inner", "0.0.0", ""}
	v1, v2 := Key{Dubbo, "com.acme.Pay", "1.0", "g"}, Key{Dubbo, "com.acme.Pay", "1-0", "g"}
	alone := Key{Dubbo, "com.acme.Alone", "", ""}
	both := Key{SOFARPC, "com.acme.Alone", "1.0", ""}
	got := Collisions([]Key{v2, alone, upper, a, b, v1, a, both, {SOFARPC, "com.acme.Outer$Inner", "", ""}, alone})
	want := []Collision{
		{"com.acme.outer-inner", []Key{upper.Canonical(), a.Canonical(), b}},
		{"g-g.v-1-0.com.acme.pay", []Key{v2, v1}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Collisions([]Key{a, alone, v1, both}); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestParseTarget(t *testing.T) {
	for target, want := range map[string]Key{
		"com.acme.Hello:1.0":       {SOFARPC, "com.acme.Hello", "1.0", ""},
		"com.acme.Hello:2.0:blue":  {SOFARPC, "com.acme.Hello", "2.0", "blue"},
		"Main$Echo:1.0":            {SOFARPC, "Main$Echo", "1.0", ""},
		"com.acme.Hello":           {SOFARPC, "com.acme.Hello", "", ""},
		"com.acme.Hello:":          {SOFARPC, "com.acme.Hello", "", ""},
		"com.acme.Hello::blue":     {SOFARPC, "com.acme.Hello", "", "blue"},
		"com.acme.Hello:1.0:a:b/c": {SOFARPC, "com.acme.Hello", "1.0", "a:b/c"},
		"é:1.0":                    {SOFARPC, "é", "1.0", ""},
	} {
		if got, err := ParseTarget(target); err != nil || got != want {
			t.Errorf("%q: %+v, %v", target, got, err)
		}
	}
	for _, target := range []string{
		"", ":1.0", "::", " a:1.0", "a :1.0", "a:1.0 ", "a:1.0:\x00", "a\r\n:1.0", "a:1.0\x7f", "a/b:1.0", "a?b", "a#b", "a%2e:1.0", `a\b`,
	} {
		if got, err := ParseTarget(target); err == nil {
			t.Errorf("%q: %+v", target, got)
		}
	}
	k, err := ParseTarget("com.acme.Hello:1.0:blue")
	if got, want := k.Host(), "g-blue.com.acme.hello"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestAllocations(t *testing.T) {
	dst := make([]byte, 0, 512)
	for _, target := range []string{
		"com.alipay.sofa.rpc.Hello:1.0",
		"com.acme.Hello:2.0:blue",
		"com.acme." + strings.Repeat("x", 80) + ":1.0:a:b",
		strings.Repeat("com.", 80) + "Hello:1.0",
	} {
		if n := testing.AllocsPerRun(100, func() {
			k, err := ParseTarget(target)
			if err != nil {
				t.Fatal(err)
			}
			dst = Append(dst[:0], k)
		}); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, target := range map[string]string{
		"plain":    "com.alipay.sofa.rpc.test.HelloService:1.0",
		"group":    "com.alipay.sofa.rpc.test.HelloService:2.0:blue",
		"digested": "com.alipay.sofa.rpc.test.HelloService" + strings.Repeat("x", 50) + ":1.0",
	} {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				k, err := ParseTarget(target)
				if err != nil {
					b.Fatal(err)
				}
				dst = Append(dst[:0], k)
			}
		})
	}
}

// FuzzHost checks that a host is a DNS name whatever the service is called, that
// folding a second time changes nothing, and that targets are parsed to what
// they were made of.
func FuzzHost(f *testing.F) {
	f.Fuzz(func(t *testing.T, protocol uint8, iface, version, group string) {
		k := Key{Protocol(protocol % 3), iface, version, group}
		host := k.Host()
		if !validName(host) {
			t.Fatalf("%+q: %q", k, host)
		}
		if again := k.Canonical().Host(); again != host {
			t.Fatalf("%+q: %q, canonical %q", k, host, again)
		}
		parsed, err := ParseTarget(iface + ":" + version + ":" + group)
		if err != nil || strings.Contains(iface, ":") || strings.Contains(version, ":") {
			return
		}
		if want := (Key{SOFARPC, iface, version, group}); parsed != want {
			t.Fatalf("%+q, want %+q", parsed, want)
		}
	})
}
