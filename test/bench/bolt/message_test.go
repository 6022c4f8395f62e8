//go:build linux

package bolt

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// captured gives the frame of a real peer's whose section of the capture has the title.
func captured(t *testing.T, title string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../mosn/protocol/bolt/testdata/v1-hessian.hex")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## "+title)
	if !ok {
		t.Fatalf("no %q in the capture", title)
	}
	section, _, _ = strings.Cut(section, "\n\n")
	var frame []byte
	for i, line := range strings.Split(section, "\n") {
		digits, _, _ := strings.Cut(line, "#")
		data, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil && i > 0 { // the first line is the rest of the title
			t.Fatal(err)
		}
		frame = append(frame, data...)
	}
	return frame
}

func TestFramesAreThoseOfRealPeers(t *testing.T) {
	c := call{app: "peer-client", service: "Main$Echo:1.0", method: "hello", trace: "c00002021795253337474100115681", argument: "mesh"}
	request, result := c.frame(), answer("hello mesh")
	SetID(request, 1)
	SetID(result, 1)
	if got, want := request, captured(t, "Java client: sync request"); !bytes.Equal(got, want) {
		t.Errorf("a call is\n%q, want\n%q", got, want)
	}
	if got, want := result, captured(t, "Java server: response"); !bytes.Equal(got, want) {
		t.Errorf("an answer is\n%q, want\n%q", got, want)
	}
}

func TestMessages(t *testing.T) {
	mark := NewMark(0xfedc1234)
	if string(mark[:]) != "00000000fedc1234" {
		t.Fatalf("%q", mark)
	}
	for name, c := range map[string]struct {
		m     *Message
		kind  byte
		marks int
	}{
		"request": {NewRequest(), KindRequest, 3}, // trace id in header and content, argument
		"answer":  {NewAnswer(), KindAnswer, 1},
	} {
		data := c.m.Append([]byte("before"), 7, mark)[len("before"):]
		f, ok := Parse(data)
		if !ok || f.Kind != c.kind || f.ID != 7 || f.Status != 0 || f.Size != len(data) || f.Size-f.Content != ContentBytes {
			t.Fatalf("%s: %+v, %v; %d bytes", name, f, ok, len(data))
		}
		if n := bytes.Count(data, mark[:]); n != c.marks || bytes.Contains(data, []byte(noMark)) {
			t.Errorf("%s: %d marks, want %d: %q", name, n, c.marks, data)
		}
		content := data[f.Content:]
		if got, ok := c.m.Match(content); !ok || got != mark {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
		if _, ok := c.m.Match(content[1:]); ok {
			t.Errorf("%s: a short content was taken", name)
		}
		for i := range content {
			content[i] ^= 1
			if got, ok := c.m.Match(content); ok && got == mark {
				t.Errorf("%s: byte %d is wrong and nobody saw it", name, i)
			}
			content[i] ^= 1
		}
	}
}

// A call whose two marks differ was mixed with another.
func TestMixedMarksAreSeen(t *testing.T) {
	m, mark := NewRequest(), NewMark(1)
	data := m.Append(nil, 1, mark)
	copy(data[bytes.LastIndex(data, mark[:]):], "0000000000000002")
	if _, ok := m.Match(data[m.content:]); ok {
		t.Error("two calls in one were taken")
	}
}

func TestParse(t *testing.T) {
	for name, frame := range map[string][]byte{"request": NewRequest().frame, "answer": NewAnswer().frame} {
		for i := range frame {
			if f, ok := Parse(frame[:i]); !ok || f.Size != 0 && f.Size != len(frame) {
				t.Errorf("%d bytes of a %s: %+v, %v", i, name, f, ok)
			}
		}
	}
	beat := append([]byte{version, KindAnswer, 0, CommandHeartbeat, 1, 0, 0, 0, 9}, make([]byte, answerHead-9)...)
	if f, ok := Parse(beat); !ok || f.Size != len(beat) || f.ID != 9 {
		t.Errorf("the answer to a heartbeat: %+v, %v", f, ok)
	}
	for name, change := range map[string]func([]byte){
		"version 2":    func(b []byte) { b[0] = 2 },
		"one-way":      func(b []byte) { b[1] = 2 },
		"4 GB":         func(b []byte) { copy(b[18:], "\xff\xff\xff\xff") },
		"big headers":  func(b []byte) { copy(b[16:], "\xff\xff") },
		"just too big": func(b []byte) { copy(b[18:], "\x00\x00\x40\x00") },
	} {
		frame := bytes.Clone(NewRequest().frame)
		change(frame)
		if f, ok := Parse(frame); ok {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestAppendAndMatchDoNotAllocate(t *testing.T) {
	request, answer := NewRequest(), NewAnswer()
	out := make([]byte, 0, 4096)
	content := answer.Append(nil, 1, NewMark(1))[answer.content:]
	if n := testing.AllocsPerRun(100, func() {
		out = request.Append(out[:0], 1, NewMark(1))
		answer.Match(content)
	}); n != 0 {
		t.Errorf("%v allocations for a call", n)
	}
}

// FuzzFrames: whatever comes, frames are cut where their lengths say, within what is there.
func FuzzFrames(f *testing.F) {
	f.Add(NewRequest().frame)
	f.Add(append(bytes.Clone(NewAnswer().frame), NewRequest().frame[:30]...))
	f.Add([]byte{version, KindAnswer, 0, CommandHeartbeat, 1, 0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		cut := 0
		rest, ok := each(data, func(fr Frame, frame []byte) bool {
			if len(frame) != fr.Size || fr.Size > MaxFrame || fr.Content > fr.Size || fr.Content < answerHead {
				t.Fatalf("%+v of %d bytes", fr, len(frame))
			}
			NewAnswer().Match(frame[fr.Content:])
			cut += fr.Size
			return true
		})
		if ok && (cut+len(rest) != len(data) || !bytes.HasSuffix(data, rest) || len(rest) >= MaxFrame) {
			t.Fatalf("%d bytes cut, %d left of %d", cut, len(rest), len(data))
		}
	})
}
