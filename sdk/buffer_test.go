package sdk

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

func newTestBuffer(p *BufferPool) *Buffer {
	b := new(Buffer)
	b.Init(p)
	return b
}

// fill returns n bytes whose values depend on their position and on seed.
func fill(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7) + byte(i>>8) + seed
	}
	return p
}

func checkContent(t *testing.T, b *Buffer, want []byte) {
	t.Helper()
	if b.Len() != len(want) || b.Empty() != (len(want) == 0) {
		t.Fatalf("Len = %d, Empty = %v, want length %d", b.Len(), b.Empty(), len(want))
	}
	if got := b.Bytes(nil); !bytes.Equal(got, want) {
		t.Fatalf("Bytes differ (%d bytes, want %d)", len(got), len(want))
	}
	var joined []byte
	for piece := range b.Chunks() {
		if len(piece) == 0 {
			t.Fatal("Chunks yields an empty piece")
		}
		joined = append(joined, piece...)
	}
	if !bytes.Equal(joined, want) {
		t.Fatal("Chunks differ from Bytes")
	}
	dst := make([]byte, len(want)+1)
	if n := b.CopyTo(dst); n != len(want) || !bytes.Equal(dst[:n], want) {
		t.Fatalf("CopyTo copied %d bytes", n)
	}
}

func TestBufferAppend(t *testing.T) {
	for _, size := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 5} {
		p := NewBufferPool(8)
		b := newTestBuffer(p)
		want := fill(size, 1)
		b.Append(want)
		checkContent(t, b, want)
		if chunks := (size + ChunkSize - 1) / ChunkSize; p.InUse() != chunks {
			t.Fatalf("%d bytes hold %d chunks, want %d", size, p.InUse(), chunks)
		}
		b.AppendString(string(want))
		b.AppendByte('x')
		n, err := b.Write([]byte("yz"))
		if n != 2 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		checkContent(t, b, append(append(append([]byte{}, want...), want...), "xyz"...))
		b.Release()
		checkContent(t, b, nil)
		if p.InUse() != 0 {
			t.Fatalf("released, %d chunks still in use", p.InUse())
		}
	}
}

func TestBufferIsWriter(t *testing.T) {
	b := newTestBuffer(NewBufferPool(1))
	if _, err := io.WriteString(b, "hello"); err != nil {
		t.Fatal(err)
	}
	checkContent(t, b, []byte("hello"))
}

func TestBufferFirstAndDrain(t *testing.T) {
	p := NewBufferPool(8)
	b := newTestBuffer(p)
	if b.First() != nil || b.Single() {
		t.Fatal("an empty buffer has a first piece")
	}
	want := fill(2*ChunkSize+100, 3)
	b.Append(want)
	if b.Single() {
		t.Fatal("three chunks are one piece")
	}
	for b.Len() > 0 {
		first := b.First()
		if !bytes.Equal(first, want[:len(first)]) {
			t.Fatal("First differs")
		}
		n := min(1000, len(first))
		b.Drain(n)
		want = want[n:]
		if len(want) == 50 && !b.Single() {
			t.Fatal("the last 50 bytes are not one piece")
		}
	}
	if p.InUse() != 0 || p.Free() != 3 {
		t.Fatalf("InUse = %d, Free = %d, want 0 and 3", p.InUse(), p.Free())
	}
}

func TestBufferReserve(t *testing.T) {
	p := NewBufferPool(8)
	b := newTestBuffer(p)
	space := b.Reserve(10)
	if len(space) < 10 {
		t.Fatalf("Reserve(10) returned %d bytes", len(space))
	}
	b.Commit(copy(space, "hello"))
	checkContent(t, b, []byte("hello"))

	b.Reserve(ChunkSize) // a second chunk, of which nothing is used
	b.Commit(0)
	checkContent(t, b, []byte("hello"))
	if p.InUse() != 1 {
		t.Fatalf("an unused reservation keeps %d chunks", p.InUse()-1)
	}
	b.Append(make([]byte, ChunkSize-10))
	if got := b.Reserve(6); len(got) != ChunkSize {
		t.Fatalf("Reserve beyond the tail's room returned %d bytes, want a fresh chunk", len(got))
	}
	b.Commit(6)
	if b.Len() != ChunkSize+1 {
		t.Fatalf("Len = %d", b.Len())
	}
	b.Release()
	b.Reserve(1)
	b.Commit(0)
	if p.InUse() != 0 {
		t.Fatal("an empty buffer holds a chunk")
	}
}

func TestBufferSlices(t *testing.T) {
	b := newTestBuffer(NewBufferPool(8))
	want := fill(3*ChunkSize+7, 9)
	b.Append(want)
	if got := b.Slices(make([][]byte, 0, 2)); len(got) != 2 {
		t.Fatalf("Slices filled %d places of 2", len(got))
	}
	if got := bytes.Join(b.Slices(make([][]byte, 0, 8)), nil); !bytes.Equal(got, want) {
		t.Fatal("Slices differ")
	}
}

func TestBufferMove(t *testing.T) {
	sizes := []int{0, 1, 100, moveCopyMax, moveCopyMax + 1, ChunkSize, 2*ChunkSize + 1}
	for _, a := range sizes {
		for _, c := range sizes {
			p := NewBufferPool(8)
			dst, src := newTestBuffer(p), newTestBuffer(p)
			dst.Append(fill(a, 1))
			src.Append(fill(c, 2))
			want := append(fill(a, 1), fill(c, 2)...)
			dst.Move(src)
			checkContent(t, dst, want)
			checkContent(t, src, nil)
			src.AppendString("again")
			dst.AppendString("tail")
			checkContent(t, src, []byte("again"))
			checkContent(t, dst, append(want, "tail"...))
			src.Release()
			dst.Release()
			if p.InUse() != 0 {
				t.Fatalf("Move %d+%d leaks %d chunks", a, c, p.InUse())
			}
		}
	}
}

// A stream of small moves must not end as a chain of chunks that are nearly
// empty.
func TestBufferMoveGathersSmallPieces(t *testing.T) {
	p := NewBufferPool(8)
	dst, src := newTestBuffer(p), newTestBuffer(p)
	for range 100 {
		src.AppendString("0123456789")
		dst.Move(src)
	}
	if p.InUse() != 1 {
		t.Fatalf("1000 bytes in %d chunks", p.InUse())
	}
}

func TestBufferMoveIsNoCopyForBigPieces(t *testing.T) {
	p := NewBufferPool(8)
	dst, src := newTestBuffer(p), newTestBuffer(p)
	dst.AppendString("head")
	src.Append(fill(8000, 1))
	at := &src.First()[0]
	dst.Move(src)
	if pieces := dst.Slices(make([][]byte, 0, 4)); len(pieces) != 2 || &pieces[1][0] != at {
		t.Fatal("a big chunk was copied")
	}
}

func TestBufferMoveN(t *testing.T) {
	for _, n := range []int{0, 1, 100, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2*ChunkSize + 30, 2*ChunkSize + 31} {
		p := NewBufferPool(8)
		dst, src := newTestBuffer(p), newTestBuffer(p)
		dst.AppendString("head")
		all := fill(2*ChunkSize+31, 4)
		src.Append(all)
		dst.MoveN(src, n)
		checkContent(t, dst, append([]byte("head"), all[:n]...))
		checkContent(t, src, all[n:])
		src.AppendString("more")
		checkContent(t, src, append(append([]byte{}, all[n:]...), "more"...))
		dst.Release()
		src.Release()
		if p.InUse() != 0 {
			t.Fatalf("MoveN(%d) leaks %d chunks", n, p.InUse())
		}
	}
}

func TestBufferPoolIsBounded(t *testing.T) {
	p := NewBufferPool(2)
	b := newTestBuffer(p)
	b.Append(make([]byte, 10*ChunkSize))
	b.Release()
	if p.Free() != 2 || p.InUse() != 0 {
		t.Fatalf("Free = %d, InUse = %d, want 2 and 0", p.Free(), p.InUse())
	}
}

func TestBufferMisusePanics(t *testing.T) {
	p := NewBufferPool(2)
	tests := map[string]func(b *Buffer){
		"drain":   func(b *Buffer) { b.Drain(1) },
		"reserve": func(b *Buffer) { b.Reserve(ChunkSize + 1) },
		"commit":  func(b *Buffer) { b.Reserve(1); b.Commit(ChunkSize + 1) },
		"pools":   func(b *Buffer) { b.Move(newTestBuffer(NewBufferPool(1))) },
		"moveN":   func(b *Buffer) { b.MoveN(newTestBuffer(p), 1) },
	}
	for name, misuse := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			misuse(newTestBuffer(p))
		})
	}
}

// TestBufferModel runs random operations beside a plain byte slice.
func TestBufferModel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		runBufferModel(t, 200, func(n int) int { return rnd.IntN(n) })
	}
}

// FuzzBuffer lets the input choose the operations of the model.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("\x00\xff\x01\x80\x05\x40\x06\x07\x03\xff"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 4096 {
			return
		}
		at := 0
		runBufferModel(t, len(ops)/3, func(n int) int {
			if at+1 >= len(ops) {
				return 0
			}
			v := int(ops[at])<<8 | int(ops[at+1])
			at += 2
			return v % n
		})
	})
}

func runBufferModel(t *testing.T, steps int, choose func(n int) int) {
	t.Helper()
	p := NewBufferPool(4)
	var bufs [2]Buffer
	var want [2][]byte
	for i := range bufs {
		bufs[i].Init(p)
	}
	for range steps {
		i := choose(2)
		b, o := &bufs[i], &bufs[1-i]
		switch choose(8) {
		case 0:
			data := fill(choose(3*ChunkSize), byte(len(want[i])))
			b.Append(data)
			want[i] = append(want[i], data...)
		case 1:
			data := fill(choose(500), 5)
			b.AppendString(string(data))
			want[i] = append(want[i], data...)
		case 2:
			n := choose(ChunkSize) + 1
			data := fill(choose(n+1), 7)
			b.Commit(copy(b.Reserve(n), data))
			want[i] = append(want[i], data...)
		case 3:
			n := choose(b.Len() + 1)
			b.Drain(n)
			want[i] = want[i][n:]
		case 4:
			b.Move(o)
			want[i] = append(want[i], want[1-i]...)
			want[1-i] = nil
		case 5:
			n := choose(o.Len() + 1)
			b.MoveN(o, n)
			want[i] = append(want[i], want[1-i][:n]...)
			want[1-i] = want[1-i][n:]
		case 6:
			data := fill(choose(1+choose(ChunkSize+1)), 9)
			b.Prepend(data)
			want[i] = append(data, want[i]...)
		case 7:
			if b.Len() > 8*ChunkSize {
				b.Release()
				want[i] = nil
			}
		}
	}
	for i := range bufs {
		checkContent(t, &bufs[i], want[i])
		bufs[i].Release()
	}
	if p.InUse() != 0 {
		t.Fatalf("%d chunks leak", p.InUse())
	}
}

func TestBufferDoesNotAllocate(t *testing.T) {
	p := NewBufferPool(8)
	var b, body Buffer
	b.Init(p)
	body.Init(p)
	data := fill(ChunkSize+1, 1)
	vec := make([][]byte, 0, 8)
	cycle := func() {
		b.AppendString("HTTP/1.1 200 OK\r\n")
		b.Commit(copy(b.Reserve(16), "content-length: "))
		b.AppendByte('5')
		body.Append(data)
		b.Move(&body)
		total := 0
		for piece := range b.Chunks() {
			total += len(piece)
		}
		if total != b.Len() || len(b.Slices(vec)) == 0 {
			panic("lost bytes")
		}
		b.Release()
	}
	cycle()
	if n := testing.AllocsPerRun(100, cycle); n != 0 {
		t.Fatalf("%v allocations a cycle", n)
	}
}

func BenchmarkBufferAppendDrain(b *testing.B) {
	p := NewBufferPool(8)
	var buf Buffer
	buf.Init(p)
	data := fill(512, 1)
	b.SetBytes(512)
	for b.Loop() {
		buf.Append(data)
		buf.Drain(512)
	}
}

func BenchmarkBufferMove(b *testing.B) {
	p := NewBufferPool(8)
	var head, body Buffer
	head.Init(p)
	body.Init(p)
	data := fill(8000, 1)
	for b.Loop() {
		head.AppendString("header")
		body.Append(data)
		head.Move(&body)
		head.Release()
	}
}
