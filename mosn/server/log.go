package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Levels beyond slog's, as Envoy has them.
const (
	levelTrace    slog.Level = slog.LevelDebug - 4
	levelCritical slog.Level = slog.LevelError + 4
	levelOff      slog.Level = slog.LevelError + 8
)

// levels lists the names from the lowest to the highest.
func levels() []struct {
	name  string
	level slog.Level
} {
	return []struct {
		name  string
		level slog.Level
	}{
		{"trace", levelTrace}, {"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warning", slog.LevelWarn},
		{"error", slog.LevelError}, {"critical", levelCritical}, {"off", levelOff},
	}
}

func parseLevel(s string) (slog.Level, error) {
	if s == "warn" {
		s = "warning"
	}
	for _, l := range levels() {
		if l.name == s {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("invalid log level %q: want trace, debug, info, warning, error, critical or off", s)
}

func levelName(level slog.Level) string {
	name := ""
	for _, l := range levels() {
		if level >= l.level {
			name = l.name
		}
	}
	return name
}

// The components that log, by Envoy's names where it has one.
const (
	compMain     = "main"
	compAdmin    = "admin"
	compConfig   = "config"
	compLoop     = "eventloop"
	compUpstream = "upstream"
	compFile     = "file"
	compRuntime  = "runtime"
)

func components() []string {
	return []string{compAdmin, compConfig, compFile, compLoop, compMain, compRuntime, compUpstream}
}

// parseComponents reads "admin:debug,upstream:trace". Components of Envoy's that are
// not here are accepted: there is nothing of theirs to log.
func parseComponents(s string) (map[string]slog.Level, error) {
	out := map[string]slog.Level{}
	if s == "" {
		return out, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		name, level, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("component log level %q: want component:level", part)
		}
		l, err := parseLevel(level)
		if err != nil {
			return nil, err
		}
		out[name] = l
	}
	return out, nil
}

// Log writes the application's log, each line by a pattern. Its methods may be
// called on any goroutine; a line is one write.
type Log struct {
	pattern []logPart
	escape  bool
	levels  map[string]*slog.LevelVar

	mu   sync.Mutex
	buf  bytes.Buffer
	path string // "" when out was given
	out  io.Writer
	file *os.File
	lost atomic.Uint64 // lines that could not be written
}

// NewLog returns a log by the command line; out is used unless it names a file.
func NewLog(o *Options, out io.Writer) (*Log, error) {
	l := &Log{escape: o.LogFormatEscaped, levels: map[string]*slog.LevelVar{}, path: o.LogPath, out: out}
	l.pattern = parsePattern(o.LogFormat)
	base, err := parseLevel(o.LogLevel)
	if err != nil {
		return nil, err
	}
	special, err := parseComponents(o.ComponentLogLevel)
	if err != nil {
		return nil, err
	}
	for _, name := range components() {
		l.levels[name] = new(slog.LevelVar)
		l.levels[name].Set(base)
		if s, ok := special[name]; ok {
			l.levels[name].Set(s)
		}
	}
	return l, l.Reopen()
}

// Reopen opens the file anew, after somebody has moved it away.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("--log-path: %w", err)
	}
	l.mu.Lock()
	old := l.file
	l.file, l.out = f, f
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Close closes the file, if there is one.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	l.out = io.Discard
	return l.file.Close()
}

// For returns the logger of a component.
func (l *Log) For(component string) *slog.Logger {
	return slog.New(&logHandler{log: l, component: component, level: l.levels[component]})
}

// SetLevel changes the level of one component, or of all when component is "".
func (l *Log) SetLevel(component, level string) error {
	to, err := parseLevel(level)
	if err != nil {
		return errors.New("unknown logger level")
	}
	if component != "" && l.levels[component] == nil {
		return errors.New("unknown logger name")
	}
	for name, v := range l.levels {
		if component == "" || component == name {
			v.Set(to)
		}
	}
	return nil
}

// WriteLevels lists the components with their levels.
func (l *Log) WriteLevels(w io.Writer) {
	fmt.Fprint(w, "active loggers:\n")
	for _, name := range slices.Sorted(maps.Keys(l.levels)) {
		fmt.Fprintf(w, "  %s: %s\n", name, levelName(l.levels[name].Level()))
	}
}

// logHandler is the slog.Handler of one component.
type logHandler struct {
	log       *Log
	component string
	level     *slog.LevelVar
	attrs     string // rendered, with a leading blank each
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	for _, a := range attrs {
		n.attrs += " " + a.String()
	}
	return &n
}

// WithGroup implements slog.Handler; groups do not show.
func (h *logHandler) WithGroup(string) slog.Handler { return h }

// Handle implements slog.Handler.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	msg := r.Message + h.attrs
	r.Attrs(func(a slog.Attr) bool { msg += " " + a.String(); return true })
	if h.log.escape {
		quoted := strconv.Quote(msg)
		msg = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	}
	l := h.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
	line := logLine{r: r, component: h.component, msg: msg}
	for _, p := range l.pattern {
		p.write(&l.buf, &line)
	}
	l.buf.WriteByte('\n')
	if _, err := l.out.Write(l.buf.Bytes()); err != nil {
		l.lost.Add(1)
	}
	return nil
}

type logLine struct {
	r         slog.Record
	component string
	msg       string
}

func (l *logLine) source() (file string, line int, function string) {
	f, _ := runtime.CallersFrames([]uintptr{l.r.PC}).Next()
	return f.File, f.Line, f.Function
}

// logPart is literal text, or an operator of the pattern; one that prints a part of
// the time has its layout as text.
type logPart struct {
	text string
	op   byte
}

func parsePattern(s string) []logPart {
	var parts []logPart
	layouts := timeLayouts()
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 || i+1 == len(s) {
			return append(parts, logPart{text: s})
		}
		if i > 0 {
			parts = append(parts, logPart{text: s[:i]})
		}
		parts, s = append(parts, logPart{op: s[i+1], text: layouts[s[i+1]]}), s[i+2:]
	}
	return parts
}

// timeLayouts are the operators that print a part of the time.
func timeLayouts() map[byte]string {
	return map[byte]string{
		'Y': "2006", 'C': "06", 'm': "01", 'd': "02", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
		'T': "15:04:05", 'X': "15:04:05", 'R': "15:04", 'r': "03:04:05 PM", 'D': "01/02/06", 'x': "01/02/06",
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'z': "-07:00",
	}
}

func (p logPart) write(b *bytes.Buffer, l *logLine) {
	switch p.op {
	case 0:
		b.WriteString(p.text)
	case 'v':
		b.WriteString(l.msg)
	case 'j': // Envoy's own: the message as the inside of a JSON string
		quoted, _ := json.Marshal(l.msg) // a string can always be marshalled
		b.Write(quoted[1 : len(quoted)-1])
	case 'l':
		b.WriteString(levelName(l.r.Level))
	case 'L':
		b.WriteString(strings.ToUpper(levelName(l.r.Level)[:1]))
	case 'n':
		b.WriteString(l.component)
	case 't', 'P': // goroutines have no thread of their own: the process it is
		b.WriteString(strconv.Itoa(os.Getpid()))
	case 'g', 's', '@', '#', '!':
		p.writeSource(b, l)
	case 'e', 'f', 'F':
		digits := 3
		if p.op != 'e' {
			digits = 6 + 3*strings.IndexByte("fF", p.op)
		}
		b.WriteString(fmt.Sprintf("%09d", l.r.Time.Nanosecond())[:digits])
	case 'E':
		b.WriteString(strconv.FormatInt(l.r.Time.Unix(), 10))
	case '%':
		b.WriteByte('%')
	case '^', '$': // where colours begin and end
	default:
		if p.text != "" {
			b.WriteString(l.r.Time.In(time.Local).Format(p.text))
		} else {
			b.WriteByte('%')
			b.WriteByte(p.op)
		}
	}
}

func (p logPart) writeSource(b *bytes.Buffer, l *logLine) {
	file, line, function := l.source()
	switch p.op {
	case 'g':
		b.WriteString(file)
	case 's':
		b.WriteString(filepath.Base(file))
	case '#':
		b.WriteString(strconv.Itoa(line))
	case '@':
		b.WriteString(filepath.Base(file) + ":" + strconv.Itoa(line))
	case '!':
		b.WriteString(function)
	}
}
