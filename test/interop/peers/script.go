package peers

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// OpKind is one thing that a scripted client or backend does.
type OpKind uint8

// The operations. Which side has which is said in ParseOps.
const (
	OpSend    OpKind = iota // write Data
	OpSleep                 // pause for Wait
	OpFin                   // shut down the own direction
	OpClose                 // close both directions
	OpReset                 // close with RST
	OpAwait                 // client: until N responses have come on this connection
	OpBackend               // client: until N requests have reached the backends
	OpConnect               // client: go on with a new connection; the earlier ones stay open
	OpRead                  // until the other side sent Data (after the head in a tunnel)
	OpHang                  // backend: nothing more on this connection
	OpEOF                   // client: until the peer has closed
)

// Op is one step of a script.
type Op struct {
	Kind OpKind
	Data []byte
	Wait time.Duration
	N    int
}

// ParseOps reads the lines of a script. A line `> text` (client) or `< text` (backend) sends the text and CRLF; `>| "quoted"` sends exactly the
// quoted bytes, `>* N "quoted"` sends them N times; neighbouring lines go out in one write. Other lines are a word and its argument: sleep,
// fin, close, reset, await, backend, connect, read, hang, eof.
func ParseOps(lines []string) ([]Op, error) {
	var ops []Op
	for _, l := range lines {
		if strings.TrimSpace(l) == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if l[0] == '>' || l[0] == '<' {
			data, err := payload(l[1:])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", l, err)
			}
			if n := len(ops); n > 0 && ops[n-1].Kind == OpSend {
				ops[n-1].Data = append(ops[n-1].Data, data...)
				continue
			}
			ops = append(ops, Op{Kind: OpSend, Data: data})
			continue
		}
		op, err := parseWord(l)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", l, err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func payload(s string) ([]byte, error) {
	switch {
	case strings.HasPrefix(s, "|"):
		raw, err := strconv.Unquote(strings.TrimSpace(s[1:]))
		return []byte(raw), err
	case strings.HasPrefix(s, "*"):
		count, quoted, _ := strings.Cut(strings.TrimSpace(s[1:]), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			return nil, err
		}
		raw, err := strconv.Unquote(quoted)
		return []byte(strings.Repeat(raw, n)), err
	}
	return []byte(strings.TrimPrefix(s, " ") + "\r\n"), nil
}

func parseWord(l string) (op Op, err error) {
	word, arg, _ := strings.Cut(strings.TrimSpace(l), " ")
	switch word {
	case "sleep":
		op.Kind = OpSleep
		op.Wait, err = time.ParseDuration(arg)
	case "await":
		op.Kind = OpAwait
		op.N, err = strconv.Atoi(arg)
	case "backend":
		op.Kind = OpBackend
		op.N, err = strconv.Atoi(arg)
	case "read":
		op.Kind = OpRead
		var s string
		s, err = strconv.Unquote(arg)
		op.Data = []byte(s)
	case "fin":
		op.Kind = OpFin
	case "close":
		op.Kind = OpClose
	case "reset":
		op.Kind = OpReset
	case "connect":
		op.Kind = OpConnect
	case "hang":
		op.Kind = OpHang
	case "eof":
		op.Kind = OpEOF
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return op, err
}
