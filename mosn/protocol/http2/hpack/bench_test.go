package hpack

import (
	"fmt"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// request is a call between services; two of its fields differ each time.
func request(i int) []string {
	return []string{
		":method", "POST", ":scheme", "http", ":path", "/com.acme.Hello/sayHello", ":authority", "hello.default.svc:8080",
		"content-type", "application/grpc", "te", "trailers", "user-agent", "grpc-go/1.84.0", "grpc-timeout", "1S",
		"x-request-id", fmt.Sprintf("6f0ad7a2-3d0b-4d1e-9d0e-5b8f8f2f6a%02d", i), "traceparent", fmt.Sprintf("00-0af7651916cd43dd8448eb211c8031%02d-b7ad6b7169203331-01", i),
	}
}

func BenchmarkEncode(b *testing.B) {
	e := newEncoder(4096, HuffmanOnce)
	var list [64][]string
	var ids [64][]sdk.HeaderID
	for i := range list {
		list[i] = request(i)
		for j := 0; j < len(list[i]); j += 2 {
			ids[i] = append(ids[i], sdk.LookupHeader(list[i][j]))
		}
	}
	dst := make([]byte, 4096)
	n := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n = e.Begin(dst)
		r := list[i%64]
		for j := 0; j < len(r); j += 2 {
			n += e.Put(dst[n:], ids[i%64][j/2], r[j], r[j+1], false)
		}
	}
	b.ReportMetric(float64(n), "bytes")
}

func BenchmarkDecode(b *testing.B) {
	for _, mode := range []Huffman{HuffmanOnce, HuffmanAlways} {
		b.Run([]string{"plain", "huffman"}[mode], func(b *testing.B) {
			e, d := newEncoder(4096, mode), newDecoder(4096)
			var blocks [64][]byte
			for range 2 {
				for i := range blocks {
					blocks[i] = write(e, request(i)...)
					if _, err := read(d, blocks[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			var h sdk.Headers
			var f Field
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.Reset()
				d.Begin(blocks[i%64])
				for {
					more, err := d.Next(&h, &f, false)
					if err != nil {
						b.Fatal(err)
					}
					if !more {
						break
					}
					h.AddLine(f.ID, f.Name, f.Value, f.Sensitive)
				}
			}
		})
	}
}

func BenchmarkHuffman(b *testing.B) {
	const s = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
	p := make([]byte, 200)
	p = p[:putHuffman(p, s)]
	out := make([]byte, 200)
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(s)))
		for b.Loop() {
			if _, err := decodeHuffman(out, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(s)))
		for b.Loop() {
			huffmanLen(s)
			putHuffman(out, s)
		}
	})
}
