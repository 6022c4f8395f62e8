package cluster

import (
	"math/rand/v2"
	"testing"
)

// TestStreamTable compares with a map, with ids that follow each other, that are far
// apart and that collide.
func TestStreamTable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []uint64{1, 2, 1 << 20, 1 << 40, 1<<63 + 12345} {
		var table streamTable[Call]
		want := map[uint64]*Call{}
		if table.get(1) != nil {
			t.Fatal("something in an empty table")
		}
		table.remove(1)
		for range 20000 {
			id := random.Uint64N(300) * spread
			switch c := (&Call{id: id}); {
			case random.Uint32N(2) == 0:
				if _, taken := want[id]; table.put(id, c) == taken {
					t.Fatalf("put of %d: taken %v", id, taken)
				} else if !taken {
					want[id] = c
				}
			default:
				table.remove(id)
				delete(want, id)
			}
			if id := random.Uint64N(300) * spread; table.get(id) != want[id] || table.n != len(want) {
				t.Fatalf("get of %d: %v, want %v; %d calls of %d", id, table.get(id), want[id], table.n, len(want))
			}
		}
		for id, c := range want {
			if table.get(id) != c {
				t.Fatalf("%d is lost", id)
			}
		}
		if len(table.slots) > 1024 {
			t.Errorf("%d slots for 300 calls", len(table.slots))
		}
	}
}

func TestStreamTableDoesNotAllocate(t *testing.T) {
	var table streamTable[Call]
	c := &Call{}
	id := uint64(0)
	round := func() {
		for range 1000 {
			id++
			table.put(id, c)
		}
		for i := range uint64(1000) {
			table.remove(id - i)
		}
	}
	round()
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkStreamTable is one call's put, get and remove among 500 others.
func BenchmarkStreamTable(b *testing.B) {
	var table streamTable[Call]
	c := &Call{}
	for id := range uint64(500) {
		table.put(id, c)
	}
	id := uint64(500)
	b.ReportAllocs()
	for b.Loop() {
		table.put(id, c)
		if table.get(id-250) == nil {
			b.Fatal("lost")
		}
		table.remove(id - 500)
		id++
	}
}
