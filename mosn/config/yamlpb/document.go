package yamlpb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Limits of one document.
const (
	MaxBytes = 256 << 20
	maxDepth = 100 // messages, lists and maps inside each other; also protobuf's own limit
	// maxExpanded is how many nodes aliases may add to those that are written out.
	maxExpanded = 100_000
)

// Document is a parsed text.
type Document struct {
	name string
	size int
	root *yaml.Node // nil when the text is empty
}

// Error is a fault of a document at a place.
type Error struct {
	File string
	Line int    // 0 when it is not known
	Path string // "static_resources.clusters[0].name", "" at the root
	Msg  string
}

// Error returns "file:line: path: message".
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Path != "" {
		s += ": " + e.Path
	}
	return s + ": " + e.Msg
}

// ParseYAML parses a text with one YAML document. name is for messages.
func ParseYAML(name string, text []byte) (*Document, error) {
	d := &Document{name: name, size: len(text)}
	if err := d.checkSize(); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return nil, d.syntaxError(err)
	}
	switch err := dec.Decode(new(yaml.Node)); {
	case err == nil:
		return nil, &Error{File: name, Msg: "holds more than one YAML document"}
	case !errors.Is(err, io.EOF):
		return nil, d.syntaxError(err)
	}
	if len(root.Content) > 0 {
		d.root = root.Content[0]
	}
	return d, nil
}

// Empty reports whether the text holds nothing, not even an empty map.
func (d *Document) Empty() bool { return d.root == nil || isNull(d.root) }

func (d *Document) checkSize() error {
	if d.size > MaxBytes {
		return &Error{File: d.name, Msg: fmt.Sprintf("has %d bytes, over the limit of %d", d.size, MaxBytes)}
	}
	return nil
}

// syntaxError turns "yaml: line 3: mapping values ..." into an Error.
func (d *Document) syntaxError(err error) error {
	e := &Error{File: d.name, Msg: strings.TrimPrefix(err.Error(), "yaml: ")}
	if rest, ok := strings.CutPrefix(e.Msg, "line "); ok {
		if n, msg, ok := strings.Cut(rest, ": "); ok {
			e.Line, _ = strconv.Atoi(n)
			e.Msg = msg
		}
	}
	return e
}

// Name returns the name that the document was parsed with.
func (d *Document) Name() string { return d.name }

// Line returns the line of the node that the path of fields leads to, or of the
// last one on the way that exists, and how many steps of the path that is; 0 steps
// when none exists.
func (d *Document) Line(path string) (line, steps int) {
	n := d.root
	for _, step := range splitPath(path) {
		next, at := child(n, step)
		if next == nil {
			break
		}
		n, line = next, at
		steps++
	}
	return line, steps
}

// Len returns the number of elements of the list at path, 0 when there is none.
func (d *Document) Len(path string) int {
	n := d.root
	for _, step := range splitPath(path) {
		if n == nil {
			return 0
		}
		n, _ = child(n, step)
	}
	if n = resolve(n); n == nil || n.Kind != yaml.SequenceNode {
		return 0
	}
	return len(n.Content)
}

// splitPath cuts "a.b[2].c" into "a", "b", "[2]", "c". A key of a map is written
// as an index in quotes, which may hold dots.
func splitPath(path string) []string {
	var steps []string
	for path != "" {
		if path[0] == '[' {
			end := strings.IndexByte(path, ']')
			if quoted := strings.HasPrefix(path, `["`); quoted {
				if i := strings.Index(path, `"]`); i > 0 {
					end = i + 1
				}
			}
			if end < 0 {
				return append(steps, path)
			}
			steps, path = append(steps, path[:end+1]), path[end+1:]
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				return append(steps, path)
			}
			steps, path = append(steps, path[:end]), path[end:]
		}
		path = strings.TrimPrefix(path, ".")
	}
	return steps
}

// child is the node that one step leads to, and the line to name for it: that of
// the key where there is one.
func child(n *yaml.Node, step string) (*yaml.Node, int) {
	if n = resolve(n); n == nil {
		return nil, 0
	}
	if index, ok := strings.CutPrefix(step, "["); ok {
		index = strings.TrimSuffix(index, "]")
		if key, err := strconv.Unquote(index); err == nil {
			return lookup(n, func(k string) bool { return k == key })
		}
		i, err := strconv.Atoi(index)
		if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
			return nil, 0
		}
		return n.Content[i], n.Content[i].Line
	}
	return lookup(n, func(k string) bool { return k == step || snake(k) == step })
}

func lookup(n *yaml.Node, fits func(string) bool) (*yaml.Node, int) {
	if n.Kind != yaml.MappingNode {
		return nil, 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; fits(k.Value) {
			return n.Content[i+1], k.Line
		}
	}
	return nil, 0
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// snake turns lowerCamelCase into snake_case.
func snake(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
