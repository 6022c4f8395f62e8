package idtable

import (
	"math/rand/v2"
	"testing"
)

type call struct{ id uint64 }

// TestTable compares with a map, with ids that follow each other, that are far
// apart and that collide.
func TestTable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []uint64{1, 2, 1 << 20, 1 << 40, 1<<63 + 12345} {
		var table Table[call]
		want := map[uint64]*call{}
		if table.Get(1) != nil {
			t.Fatal("something in an empty table")
		}
		table.Remove(1)
		for range 20000 {
			id := random.Uint64N(300) * spread
			switch c := (&call{id: id}); {
			case random.Uint32N(2) == 0:
				if _, taken := want[id]; table.Put(id, c) == taken {
					t.Fatalf("put of %d: taken %v", id, taken)
				} else if !taken {
					want[id] = c
				}
			default:
				table.Remove(id)
				delete(want, id)
			}
			if id := random.Uint64N(300) * spread; table.Get(id) != want[id] || table.Len() != len(want) {
				t.Fatalf("get of %d: %v, want %v; %d calls of %d", id, table.Get(id), want[id], table.n, len(want))
			}
		}
		for id, c := range want {
			if table.Get(id) != c {
				t.Fatalf("%d is lost", id)
			}
		}
		all := table.Append(nil)
		for _, c := range all {
			if want[c.id] != c {
				t.Errorf("%d is in the table", c.id)
			}
		}
		if len(all) != len(want) {
			t.Errorf("%d of %d calls", len(all), len(want))
		}
		if len(table.slots) > 1024 {
			t.Errorf("%d slots for 300 calls", len(table.slots))
		}
	}
}

func TestTableDoesNotAllocate(t *testing.T) {
	var table Table[call]
	c := &call{}
	id := uint64(0)
	round := func() {
		for range 1000 {
			id++
			table.Put(id, c)
		}
		for i := range uint64(1000) {
			table.Remove(id - i)
		}
	}
	round()
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTable is one call's put, get and remove among 500 others.
func BenchmarkTable(b *testing.B) {
	var table Table[call]
	c := &call{}
	for id := range uint64(500) {
		table.Put(id, c)
	}
	id := uint64(500)
	b.ReportAllocs()
	for b.Loop() {
		table.Put(id, c)
		if table.Get(id-250) == nil {
			b.Fatal("lost")
		}
		table.Remove(id - 500)
		id++
	}
}
