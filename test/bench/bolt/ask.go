//go:build linux

package bolt

import (
	"fmt"
	"io"
)

// Ask makes one call on a connection that blocks, and holds the answer against it.
func Ask(conn io.ReadWriter) error {
	const id = 1
	mark := NewMark(id)
	if _, err := conn.Write(NewRequest().Append(nil, id, mark)); err != nil {
		return err
	}
	var f Frame
	var data []byte
	for buf := make([]byte, MaxFrame); f.Size == 0 || len(data) < f.Size; {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		data = append(data, buf[:n]...)
		var ok bool
		if f, ok = Parse(data); !ok {
			return fmt.Errorf("no Bolt: %.64q", data)
		}
	}
	got, ok := NewAnswer().Match(data[f.Content:])
	if f.Kind != KindAnswer || f.ID != id || f.Status != 0 || len(data) != f.Size || !ok || got != mark {
		return fmt.Errorf("not the answer to the call: %+v", f)
	}
	return nil
}
