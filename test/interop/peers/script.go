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
	OpFrame                 // HTTP/2: write Frame
	OpOpen                  // HTTP/2, first: the SETTINGS to open with are Frame's
	OpManual                // HTTP/2, first: received DATA is not answered by WINDOW_UPDATE
	OpHead                  // HTTP/2 client: until the head of stream N's final response has come
	OpOver                  // HTTP/2 client: until stream N has ended in both directions
	OpPing                  // HTTP/2: until a PING has come back
	OpGoAway                // HTTP/2 client: until GOAWAY has come
)

// Op is one step of a script.
type Op struct {
	Kind  OpKind
	Data  []byte
	Wait  time.Duration
	N     int
	Frame *Frame
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

// ParseH2Ops reads the lines of a script that speaks HTTP/2: `> frame` (client) or `< frame` (backend) as parseFrame has it, and the words of
// ParseOps with open, manual, head, over, ping and goaway.
func ParseH2Ops(lines []string) ([]Op, error) {
	var ops []Op
	for _, l := range lines {
		l = strings.TrimSpace(l)
		var op Op
		var err error
		switch {
		case l == "" || l[0] == '#':
			continue
		case l[0] == '>' || l[0] == '<':
			op.Kind = OpFrame
			op.Frame, err = parseFrame(l[1:])
			if err == nil && op.Frame.Raw {
				op = Op{Kind: OpSend, Data: op.Frame.Data}
			}
		default:
			op, err = parseWord(l)
		}
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
	case "open":
		op.Kind = OpOpen
		op.Frame, err = parseFrame("0 SETTINGS " + arg)
	case "manual":
		op.Kind = OpManual
	case "head":
		op.Kind = OpHead
		op.N, err = strconv.Atoi(arg)
	case "over":
		op.Kind = OpOver
		op.N, err = strconv.Atoi(arg)
	case "ping":
		op.Kind = OpPing
	case "goaway":
		op.Kind = OpGoAway
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return op, err
}
