//go:build invariants

package sdk

import (
	"bytes"
	"testing"
)

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	f()
}

func TestReleasedChunkIsPoisoned(t *testing.T) {
	b := newTestBuffer(NewBufferPool(1))
	b.AppendString("secret")
	kept := b.First()
	b.Release()
	if !bytes.Equal(kept, []byte{0xdb, 0xdb, 0xdb, 0xdb, 0xdb, 0xdb}) {
		t.Fatalf("a released chunk still reads %q", kept)
	}
}

func TestDoubleReleasePanics(t *testing.T) {
	p := NewBufferPool(4)
	c := p.get()
	p.put(c)
	mustPanic(t, func() { p.put(c) })
}

func TestCopiedBufferPanics(t *testing.T) {
	b := newTestBuffer(NewBufferPool(4))
	b.AppendString("x")
	twin := *b
	b.Release()
	mustPanic(t, func() { twin.Release() })
}

func TestWrongGoroutinePanics(t *testing.T) {
	p := NewBufferPool(1)
	p.Bind()
	b := newTestBuffer(p)
	b.AppendString("mine")
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		b.Release()
	}()
	if <-done == nil {
		t.Fatal("no panic on another goroutine")
	}
}
