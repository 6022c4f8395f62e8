package hessian

import (
	"encoding/binary"
	"math/rand/v2"
)

// writer writes Hessian of either dialect, in the form that each method names.
// It is the oracle of Skip: it is written from the grammar, in the other
// direction.
type writer struct {
	b       []byte
	final   bool
	classes []int // the number of fields of each class
	types   int
}

func newWriter(d Dialect) *writer { return &writer{final: d == Final} }

func (w *writer) bytes(b ...byte) *writer {
	w.b = append(w.b, b...)
	return w
}

// pick returns the byte of the dialect at hand.
func (w *writer) pick(old, final byte) byte {
	if w.final {
		return final
	}
	return old
}

// int writes the shortest form.
func (w *writer) int(n int) *writer {
	switch {
	case n >= -0x10 && n <= 0x2f:
		return w.bytes(byte(0x90 + n))
	case n >= -0x800 && n <= 0x7ff:
		return w.bytes(byte(0xc8+n>>8), byte(n))
	case n >= -0x40000 && n <= 0x3ffff:
		return w.bytes(byte(0xd4+n>>16), byte(n>>8), byte(n))
	}
	return w.longInt(n)
}

func (w *writer) longInt(n int) *writer {
	w.b = binary.BigEndian.AppendUint32(append(w.b, 'I'), uint32(n))
	return w
}

// long writes the shortest form.
func (w *writer) long(n int64) *writer {
	switch {
	case n >= -0x08 && n <= 0x0f:
		return w.bytes(byte(0xe0 + n))
	case n >= -0x800 && n <= 0x7ff:
		return w.bytes(byte(0xf8+n>>8), byte(n))
	case n >= -0x40000 && n <= 0x3ffff:
		return w.bytes(byte(0x3c+n>>16), byte(n>>8), byte(n))
	case int64(int32(n)) == n:
		w.b = binary.BigEndian.AppendUint32(append(w.b, w.pick(0x77, 'Y')), uint32(n))
		return w
	}
	w.b = binary.BigEndian.AppendUint64(append(w.b, 'L'), uint64(n))
	return w
}

// units returns the length of s as Java counts it, and s as Java writes it.
func units(s string) (n int, b []byte) {
	for _, c := range s {
		if c < 0x10000 {
			n, b = n+1, append(b, string(c)...)
			continue
		}
		for _, u := range [2]rune{0xd800 + (c-0x10000)>>10, 0xdc00 + (c-0x10000)&0x3ff} {
			n, b = n+1, append(b, 0xed, 0x80|byte(u>>6&0x3f), 0x80|byte(u&0x3f))
		}
	}
	return n, b
}

// text writes the shortest form.
func (w *writer) text(s string) *writer {
	n, b := units(s)
	switch {
	case n < 32:
		w.bytes(byte(n))
	case n < 1024 && w.final:
		w.bytes(0x30+byte(n>>8), byte(n))
	default:
		w.bytes('S', byte(n>>8), byte(n))
	}
	return w.bytes(b...)
}

// chunks writes each part as a chunk; the last one is written by text.
func (w *writer) chunks(parts ...string) *writer {
	for _, s := range parts[:len(parts)-1] {
		n, b := units(s)
		w.bytes(w.pick('s', 'R'), byte(n>>8), byte(n)).bytes(b...)
	}
	return w.text(parts[len(parts)-1])
}

// define writes the definition of a class. The object is to follow.
func (w *writer) define(name string, fields ...string) *writer {
	if w.final {
		w.bytes('C').text(name)
	} else {
		n, b := units(name)
		w.bytes('O').int(n).bytes(b...)
	}
	w.int(len(fields))
	for _, f := range fields {
		w.text(f)
	}
	w.classes = append(w.classes, len(fields))
	return w
}

// object begins an instance of class i.
func (w *writer) object(i int) *writer {
	if w.final && i < 16 {
		return w.bytes(0x60 + byte(i))
	}
	return w.bytes(w.pick('o', 'O')).int(i)
}

// typ writes a type by name; lists and maps begin with it in some forms.
func (w *writer) typ(name string) *writer {
	w.types++
	if w.final {
		return w.text(name)
	}
	return w.bytes('t', byte(len(name)>>8), byte(len(name))).bytes([]byte(name)...)
}

func (w *writer) typeRef(i int) *writer {
	if w.final {
		return w.int(i)
	}
	return w.bytes('u').int(i)
}

func (w *writer) null() *writer { return w.bytes('N') }

// beginMap begins a map without a type.
func (w *writer) beginMap() *writer { return w.bytes(w.pick('M', 'H')) }

func (w *writer) end() *writer { return w.bytes(w.pick('z', 'Z')) }

// strings writes a String[] as Java does.
func (w *writer) strings(list ...string) *writer {
	switch {
	case w.final:
		w.bytes('V').typ("[string").int(len(list))
	default:
		w.bytes('V').typ("[string").bytes('n', byte(len(list)))
	}
	for _, s := range list {
		w.text(s)
	}
	if !w.final {
		w.end()
	}
	return w
}

// random writes one value of any kind, in any form, of at most the depth.
func (w *writer) random(rng *rand.Rand, depth int) {
	if depth == 0 || rng.IntN(3) > 0 {
		w.randomScalar(rng)
		return
	}
	switch rng.IntN(4) {
	case 0:
		w.randomObject(rng, depth-1)
	case 1:
		w.randomMap(rng, depth-1)
	default:
		w.randomList(rng, depth-1)
	}
}

func (w *writer) randomScalar(rng *rand.Rand) {
	fixed := func(tag byte, n int) {
		w.bytes(tag)
		for range n {
			w.bytes(byte(rng.Uint32()))
		}
	}
	pad := func(tag byte, n int) { w.bytes(tag, byte(n>>8), byte(n)) }
	blob := func(n int) {
		for range n {
			w.bytes(byte(rng.Uint32()))
		}
	}
	n := rng.IntN(40)
	switch rng.IntN(24) {
	case 0:
		w.null()
	case 1:
		w.bytes("TF"[rng.IntN(2)])
	case 2:
		w.int(int(int32(rng.Uint32()) >> rng.IntN(32)))
	case 3:
		w.longInt(int(int32(rng.Uint32())))
	case 4:
		w.long(int64(rng.Uint64()) >> rng.IntN(64))
	case 5:
		fixed('L', 8)
	case 6:
		fixed('D', 8)
	case 7:
		w.bytes(w.pick(0x67, 0x5b) + byte(rng.IntN(2))) // 0.0 and 1.0
	case 8:
		fixed(w.pick(0x69, 0x5d), 1)
	case 9:
		fixed(w.pick(0x6a, 0x5e), 2)
	case 10:
		fixed(w.pick(0x6b, 0x5f), 4)
	case 11:
		fixed(w.pick('d', 0x4a), 8)
	case 12:
		if w.final {
			fixed(0x4b, 4) // a date in minutes
		} else {
			fixed(0x4b, 2) // a reference
		}
	case 13:
		if w.final {
			w.bytes(0x51).int(rng.IntN(1000))
		} else if rng.IntN(2) == 0 {
			fixed(0x4a, 1)
		} else {
			fixed('R', 4)
		}
	case 14, 15, 16:
		w.text(randomText(rng, n))
	case 17:
		w.text(randomText(rng, rng.IntN(1100)))
	case 18:
		w.chunks(randomText(rng, n), randomText(rng, rng.IntN(100)), randomText(rng, n))
	case 19:
		n &= 15
		w.bytes(0x20 + byte(n))
		blob(n)
	case 20:
		n = rng.IntN(300)
		pad('B', n)
		blob(n)
	case 21:
		pad(w.pick('b', 'A'), n)
		blob(n)
		w.bytes(0x21, 'x')
	case 22:
		if w.final {
			n = rng.IntN(1024)
			w.bytes(0x34+byte(n>>8), byte(n))
			blob(n)
		} else {
			w.bytes('r').typ("some.Remote").text("http://there")
		}
	default:
		w.text("")
	}
}

func randomText(rng *rand.Rand, n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz.$_-:0123456789 \x00éß中文😀"
	all := []rune(alphabet)
	if rng.IntN(2) == 0 {
		all = all[:26]
	}
	text := make([]rune, n)
	for i := range text {
		text[i] = all[rng.IntN(len(all))]
	}
	return string(text)
}

func (w *writer) randomObject(rng *rand.Rand, depth int) {
	for len(w.classes) == 0 || rng.IntN(3) == 0 {
		var fields []string
		for range rng.IntN(5) {
			fields = append(fields, randomText(rng, rng.IntN(40)))
		}
		w.define(randomText(rng, rng.IntN(60)), fields...)
	}
	i := rng.IntN(len(w.classes))
	w.object(i)
	for range w.classes[i] {
		w.random(rng, depth)
	}
}

// randomType writes a type in one of its forms; none only in the old draft.
func (w *writer) randomType(rng *rand.Rand) {
	switch n := rng.IntN(4); {
	case w.types > 0 && n == 0:
		w.typeRef(rng.IntN(w.types))
	case w.types > 0 && n == 1 && !w.final:
		w.bytes('T').int(rng.IntN(w.types))
	case n == 2 && !w.final:
		// Without a type: a first value of true would be taken for a reference to
		// one, by all readers. n, l, u and t start no value.
		w.bytes('t', 0, 0)
	default:
		w.typ("a.Type")
	}
}

func (w *writer) randomMap(rng *rand.Rand, depth int) {
	if w.final && rng.IntN(2) == 0 {
		w.bytes('H')
	} else {
		w.bytes('M')
		w.randomType(rng)
	}
	for range rng.IntN(5) {
		w.random(rng, depth)
		w.random(rng, depth)
	}
	w.end()
}

func (w *writer) randomList(rng *rand.Rand, depth int) {
	n := rng.IntN(6)
	values := func() {
		for range n {
			w.random(rng, depth)
		}
	}
	if w.final {
		switch rng.IntN(6) {
		case 0:
			w.bytes(0x55)
			w.randomType(rng)
			values()
			w.end()
		case 1:
			w.bytes('V')
			w.randomType(rng)
			w.int(n)
			values()
		case 2:
			w.bytes(0x57)
			values()
			w.end()
		case 3:
			w.bytes(0x58).int(n)
			values()
		case 4:
			w.bytes(0x70 + byte(n))
			w.randomType(rng)
			values()
		default:
			w.bytes(0x78 + byte(n))
			values()
		}
		return
	}
	switch rng.IntN(4) {
	case 0:
		w.bytes('v').int(rng.IntN(9)).int(n)
		values()
	case 1:
		w.bytes('V')
		w.randomType(rng)
		w.bytes('n', byte(n))
		values()
		w.end()
	case 2:
		w.bytes('V', 'l', 0, 0, 0, byte(n))
		values()
		w.end()
	default:
		w.bytes('V')
		w.randomType(rng)
		values()
		w.end()
	}
}
