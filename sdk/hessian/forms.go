package hessian

// Kind is what a value is, whatever form it is written in.
type Kind uint8

const (
	None   Kind = iota // no value starts with this byte, or there is no byte
	Null               //
	Bool               //
	Int                // 32 bits
	Long               // 64 bits
	Double             //
	Date               //
	Text               // a string
	Binary             //
	List               // also an array
	Map                // typed or not
	Object             // an instance, or the definition of a class before it
	Ref                // to an earlier list, map or object
	Remote             // a type and a URL; only in the old draft
	End                // no value: the end of a map, or of a list without length
)

// op is how the rest of a value is laid out after its first byte.
type op uint8

const (
	opBad         op = iota
	opFixed          // n bytes
	opText           // n characters
	opTextHigh       // n*256 + one byte: characters
	opTextMore       // two bytes of length, characters, and another text
	opTextLast       // two bytes of length, characters
	opBytes          // as the four above, in bytes
	opBytesHigh      //
	opBytesMore      //
	opBytesLast      //
	opListOld        // type?, length?, values, end
	opListRefOld     // int type, int length, values
	opListOpen       // values, end; preceded by a type if n is 1
	opListCounted    // int length, values; preceded by a type if n is 1
	opListShort      // n values
	opListTyped      // type, n values
	opMapOld         // type?, pairs, end
	opMapUntyped     // pairs, end
	opMapTyped       // type, pairs, end
	opDefine         // a class; the value follows
	opObject         // int class, its fields
	opObjectShort    // the fields of class n
	opRef            // int
	opRemote         // type?, text
	opEnd
)

// form is what the first byte of a value says.
type form struct {
	kind Kind
	op   op
	n    uint8
}

// What the first bytes say in each dialect.
var (
	inOld   = oldForms()
	inFinal = finalForms()
)

func (r *Reader) form(b byte) form {
	if r.final {
		return inFinal[b]
	}
	return inOld[b]
}

// put sets the forms of the bytes from lo to hi. Their n starts at n0 and rises
// by step.
func put(t *[256]form, lo, hi int, k Kind, o op, n0, step int) {
	for b := lo; b <= hi; b++ {
		t[b] = form{k, o, uint8(n0 + (b-lo)*step)}
	}
}

func one(t *[256]form, b int, k Kind, o op, n int) { put(t, b, b, k, o, n, 0) }

// commonForms are the first bytes that mean the same in both dialects.
func commonForms() (t [256]form) {
	one(&t, 'N', Null, opFixed, 0)
	one(&t, 'T', Bool, opFixed, 0)
	one(&t, 'F', Bool, opFixed, 0)
	put(&t, 0x80, 0xbf, Int, opFixed, 0, 0)
	put(&t, 0xc0, 0xcf, Int, opFixed, 1, 0)
	put(&t, 0xd0, 0xd7, Int, opFixed, 2, 0)
	one(&t, 'I', Int, opFixed, 4)
	put(&t, 0xd8, 0xef, Long, opFixed, 0, 0)
	put(&t, 0xf0, 0xff, Long, opFixed, 1, 0)
	put(&t, 0x38, 0x3f, Long, opFixed, 2, 0)
	one(&t, 'L', Long, opFixed, 8)
	one(&t, 'D', Double, opFixed, 8)
	put(&t, 0x00, 0x1f, Text, opText, 0, 1)
	one(&t, 'S', Text, opTextLast, 0)
	put(&t, 0x20, 0x2f, Binary, opBytes, 0, 1)
	one(&t, 'B', Binary, opBytesLast, 0)
	return t
}

// oldForms is the grammar of the first draft, with what sofa-hessian 3.5 does
// where the draft is open: the one-byte length after 0x6e is a plain byte, and
// 0x54 as well as 0x75 refer to a type.
func oldForms() [256]form {
	t := commonForms()
	one(&t, 0x77, Long, opFixed, 4)
	one(&t, 0x67, Double, opFixed, 0)
	one(&t, 0x68, Double, opFixed, 0)
	one(&t, 0x69, Double, opFixed, 1)
	one(&t, 0x6a, Double, opFixed, 2)
	one(&t, 0x6b, Double, opFixed, 4)
	one(&t, 'd', Date, opFixed, 8)
	one(&t, 's', Text, opTextMore, 0)
	one(&t, 'b', Binary, opBytesMore, 0)
	one(&t, 'V', List, opListOld, 0)
	one(&t, 'v', List, opListRefOld, 0)
	one(&t, 'M', Map, opMapOld, 0)
	one(&t, 'O', Object, opDefine, 0)
	one(&t, 'o', Object, opObject, 0)
	one(&t, 0x4a, Ref, opFixed, 1)
	one(&t, 0x4b, Ref, opFixed, 2)
	one(&t, 'R', Ref, opFixed, 4)
	one(&t, 'r', Remote, opRemote, 0)
	one(&t, 'z', End, opEnd, 0)
	return t
}

// finalForms is the bytecode map of the Hessian 2.0 serialization protocol.
func finalForms() [256]form {
	t := commonForms()
	one(&t, 'Y', Long, opFixed, 4)
	one(&t, 0x5b, Double, opFixed, 0)
	one(&t, 0x5c, Double, opFixed, 0)
	one(&t, 0x5d, Double, opFixed, 1)
	one(&t, 0x5e, Double, opFixed, 2)
	one(&t, 0x5f, Double, opFixed, 4)
	one(&t, 0x4a, Date, opFixed, 8)
	one(&t, 0x4b, Date, opFixed, 4)
	put(&t, 0x30, 0x33, Text, opTextHigh, 0, 1)
	one(&t, 'R', Text, opTextMore, 0)
	put(&t, 0x34, 0x37, Binary, opBytesHigh, 0, 1)
	one(&t, 'A', Binary, opBytesMore, 0)
	one(&t, 0x55, List, opListOpen, 1)
	one(&t, 'V', List, opListCounted, 1)
	one(&t, 0x57, List, opListOpen, 0)
	one(&t, 0x58, List, opListCounted, 0)
	put(&t, 0x70, 0x77, List, opListTyped, 0, 1)
	put(&t, 0x78, 0x7f, List, opListShort, 0, 1)
	one(&t, 'H', Map, opMapUntyped, 0)
	one(&t, 'M', Map, opMapTyped, 0)
	one(&t, 'C', Object, opDefine, 0)
	one(&t, 'O', Object, opObject, 0)
	put(&t, 0x60, 0x6f, Object, opObjectShort, 0, 1)
	one(&t, 0x51, Ref, opRef, 0)
	one(&t, 'Z', End, opEnd, 0)
	return t
}
