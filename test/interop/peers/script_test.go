package peers

import (
	"strings"
	"testing"
	"time"
)

func TestParseOps(t *testing.T) {
	ops, err := ParseOps(strings.Split(`> GET / HTTP/1.1
>
>| "raw\x00"
>* 3 "ab"
# a comment
await 2
sleep 20ms
read "x y"
> again
reset`, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Op{
		{Kind: OpSend, Data: []byte("GET / HTTP/1.1\r\n\r\nraw\x00ababab")},
		{Kind: OpAwait, N: 2},
		{Kind: OpSleep, Wait: 20 * time.Millisecond},
		{Kind: OpRead, Data: []byte("x y")},
		{Kind: OpSend, Data: []byte("again\r\n")},
		{Kind: OpReset},
	}
	if len(ops) != len(want) {
		t.Fatalf("%d steps, want %d: %v", len(ops), len(want), ops)
	}
	for i, w := range want {
		g := ops[i]
		if g.Kind != w.Kind || string(g.Data) != string(w.Data) || g.N != w.N || g.Wait != w.Wait {
			t.Errorf("step %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestParseOpsRefuses(t *testing.T) {
	for _, line := range []string{"jump", `>| unquoted`, `>* x "a"`, "await many", "sleep long", "read unquoted"} {
		if ops, err := ParseOps([]string{line}); err == nil {
			t.Errorf("%q was read as %v", line, ops)
		}
	}
}
