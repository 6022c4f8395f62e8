package yamlpb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"gopkg.in/yaml.v3"
)

// ParseJSON parses a text with one JSON value. JSON is nearly, not quite, YAML
// (escapes of characters beyond 16 bits, tabs), hence a front end of its own.
func ParseJSON(name string, text []byte) (*Document, error) {
	d := &Document{name: name, size: len(text)}
	if err := d.checkSize(); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return d, nil
	}
	r := &jsonReader{dec: json.NewDecoder(bytes.NewReader(text)), lines: lineStarts(text)}
	r.dec.UseNumber()
	var err error
	if d.root, err = r.value(0); err == nil {
		if _, err = r.dec.Token(); errors.Is(err, io.EOF) {
			return d, nil
		} else if err == nil {
			err = errors.New("text after the end of the value")
		}
	}
	at := r.dec.InputOffset()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, &Error{File: name, Line: r.line(at), Msg: err.Error()}
}

type jsonReader struct {
	dec   *json.Decoder
	lines []int64 // offset of the start of each line
}

func lineStarts(text []byte) []int64 {
	starts := []int64{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, int64(i+1))
		}
	}
	return starts
}

func (r *jsonReader) line(offset int64) int {
	return sort.Search(len(r.lines), func(i int) bool { return r.lines[i] > offset })
}

// value reads the next value as the node that YAML would make of it.
func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Line: r.line(r.dec.InputOffset() - 1), Kind: yaml.ScalarNode}
	switch t := t.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, fmt.Errorf("nested deeper than %d", maxDepth)
		}
		n.Kind = yaml.SequenceNode
		if t == '{' {
			n.Kind = yaml.MappingNode
		}
		return n, r.content(n, depth)
	case string:
		n.Value, n.Style, n.Tag = t, yaml.DoubleQuotedStyle, "!!str"
	case json.Number:
		n.Value, n.Tag = t.String(), tagNumber
	case bool:
		n.Value, n.Tag = fmt.Sprint(t), "!!bool"
	case nil:
		n.Tag = "!!null"
	}
	return n, nil
}

// content reads the elements, or keys and values, of n and its closing bracket.
func (r *jsonReader) content(n *yaml.Node, depth int) error {
	for r.dec.More() {
		e, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, e)
		if n.Kind == yaml.MappingNode {
			if e, err = r.value(depth + 1); err != nil {
				return err
			}
			n.Content = append(n.Content, e)
		}
	}
	_, err := r.dec.Token()
	return err
}
