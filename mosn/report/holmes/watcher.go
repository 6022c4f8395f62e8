package holmes

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mosn.io/holmes"
	"mosn.io/pkg/log"

	"sofamesh.io/sofamesh/sdk"
)

// kind is something that is watched.
type kind struct {
	name     string // in the configuration and at admin
	prefix   string // of the files that the library writes
	defaults Trigger
	trigger  func(*Config) **Trigger
	set      func(Trigger) holmes.Option
	on, off  func(*holmes.Holmes) *holmes.Holmes
}

func kinds() []kind {
	return []kind{
		{"cpu", "cpu.", Trigger{10, 25, 70, sdk.Duration(time.Minute)}, func(c *Config) **Trigger { return &c.CPU },
			func(t Trigger) holmes.Option {
				return holmes.WithCPUDump(t.Min, t.Diff, t.Abs, time.Duration(t.Cooldown))
			},
			(*holmes.Holmes).EnableCPUDump, (*holmes.Holmes).DisableCPUDump},
		{"heap", "mem.", Trigger{10, 25, 80, sdk.Duration(time.Minute)}, func(c *Config) **Trigger { return &c.Heap },
			func(t Trigger) holmes.Option {
				return holmes.WithMemDump(t.Min, t.Diff, t.Abs, time.Duration(t.Cooldown))
			},
			(*holmes.Holmes).EnableMemDump, (*holmes.Holmes).DisableMemDump},
		{"goroutines", "goroutine.", Trigger{3000, 20, 200000, sdk.Duration(10 * time.Minute)}, func(c *Config) **Trigger { return &c.Goroutines },
			func(t Trigger) holmes.Option {
				return holmes.WithGoroutineDump(t.Min, t.Diff, t.Abs, holmes.NotSupportTypeMaxConfig, time.Duration(t.Cooldown))
			},
			(*holmes.Holmes).EnableGoroutineDump, (*holmes.Holmes).DisableGoroutineDump},
		{"threads", "thread.", Trigger{10, 25, 70, sdk.Duration(time.Hour)}, func(c *Config) **Trigger { return &c.Threads },
			func(t Trigger) holmes.Option {
				return holmes.WithThreadDump(t.Min, t.Diff, t.Abs, time.Duration(t.Cooldown))
			},
			(*holmes.Holmes).EnableThreadDump, (*holmes.Holmes).DisableThreadDump},
	}
}

// Watcher watches until it is closed. Its methods may be called from any goroutine.
type Watcher struct {
	cfg *Config
	log *slog.Logger
	lib *holmes.Holmes

	mu    sync.Mutex
	on    map[string]bool
	ended bool
}

// Start makes the folder and begins to watch.
func Start(cfg *Config, logger *slog.Logger) (*Watcher, error) {
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("holmes: %w", err)
	}
	w := &Watcher{cfg: cfg, log: logger, on: map[string]bool{}}
	options := []holmes.Option{
		holmes.WithLogger(libraryLog{logger}), holmes.WithDumpPath(cfg.Folder), holmes.WithBinaryDump(),
		holmes.WithCollectInterval(time.Duration(cfg.Interval).String()), holmes.WithGoProcAsCPUCore(true),
		holmes.WithMemoryLimit(memoryLimit()), holmes.WithProfileReporter(w),
	}
	for _, k := range kinds() {
		if t := *k.trigger(cfg); t != nil {
			options = append(options, k.set(*t))
		}
	}
	var err error
	if w.lib, err = holmes.New(options...); err != nil {
		return nil, fmt.Errorf("holmes: %w", err)
	}
	w.lib.EnableProfileReporter()
	for _, k := range kinds() {
		if *k.trigger(cfg) != nil {
			k.on(w.lib)
			w.on[k.name] = true
		}
	}
	w.prune()
	w.lib.Start()
	return w, nil
}

// Close stops watching. A profile that is being taken may still be written.
func (w *Watcher) Close() {
	w.mu.Lock()
	ended := w.ended
	w.ended = true
	w.mu.Unlock()
	if !ended {
		w.lib.Stop()
	}
}

// Report implements the library's ProfileReporter: it comes after a profile was written.
func (w *Watcher) Report(profile string, buf []byte, reason, _ string) error {
	w.log.Warn("a profile was taken", "of", profile, "bytes", len(buf), "because", reason, "folder", w.cfg.Folder)
	w.prune()
	return nil
}

// Profile is a profile that is kept.
type Profile struct {
	Name  string
	Bytes int64
	Time  time.Time
}

// Profiles returns what is kept, the oldest first.
func (w *Watcher) Profiles() ([]Profile, error) {
	entries, err := os.ReadDir(w.cfg.Folder)
	if err != nil {
		return nil, err
	}
	var list []Profile
	for _, e := range entries {
		if !e.Type().IsRegular() || !ours(e.Name()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Profile{e.Name(), info.Size(), info.ModTime()})
	}
	slices.SortFunc(list, func(a, b Profile) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

// ours reports whether a file has a name that the library gives.
func ours(name string) bool {
	return strings.HasSuffix(name, ".log") && slices.ContainsFunc(kinds(), func(k kind) bool { return strings.HasPrefix(name, k.prefix) })
}

// Open opens a profile that is kept.
func (w *Watcher) Open(name string) (*os.File, error) {
	if name != filepath.Base(name) || !ours(name) {
		return nil, fs.ErrNotExist
	}
	return os.Open(filepath.Join(w.cfg.Folder, name))
}

// prune removes the oldest profiles over the bounds.
func (w *Watcher) prune() {
	list, err := w.Profiles()
	if err != nil {
		w.log.Error("profiles cannot be listed", "error", err)
		return
	}
	var size int64
	for _, p := range list {
		size += p.Bytes
	}
	for len(list) > w.cfg.MaxFiles || size > w.cfg.MaxBytes {
		if err := os.Remove(filepath.Join(w.cfg.Folder, list[0].Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.log.Error("an old profile stays", "error", err)
		}
		size -= list[0].Bytes
		list = list[1:]
	}
}

// Set begins or ends to watch something. One that has no trigger in the configuration
// gets the library's default.
func (w *Watcher) Set(name string, on bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range kinds() {
		if k.name != name {
			continue
		}
		if on {
			if err := w.lib.Set(k.set(w.triggerOf(k))); err != nil { // also again: off may have changed it
				return err
			}
			k.on(w.lib)
		} else {
			w.off(k)
		}
		w.on[name] = on
		return nil
	}
	return fmt.Errorf("there is nothing called %q to watch: cpu, heap, goroutines, threads", name)
}

// triggerOf is the trigger of the configuration, else the library's.
func (w *Watcher) triggerOf(k kind) Trigger {
	if t := *k.trigger(w.cfg); t != nil {
		return *t
	}
	return k.defaults
}

// off ends to watch. The library's DisableMemDump ends another watch than it says, so
// that of memory gets a threshold that is never reached.
func (w *Watcher) off(k kind) {
	if k.name == "heap" {
		_ = w.lib.Set(k.set(Trigger{Min: never, Diff: never, Abs: never})) // setting numbers cannot fail
		return
	}
	k.off(w.lib)
}

// never is more percent than there can be.
const never = 1 << 30

// Write writes what is watched and what is kept, for admin.
func (w *Watcher) Write(out interface{ Write([]byte) (int, error) }) error {
	list, err := w.Profiles()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range kinds() {
		t := w.triggerOf(k)
		fmt.Fprintf(out, "%s: %s, min %d, diff %d%%, abs %d, cooldown %v\n", k.name, onOff(w.on[k.name]), t.Min, t.Diff, t.Abs, time.Duration(t.Cooldown))
	}
	fmt.Fprintf(out, "profiles in %s:\n", w.cfg.Folder)
	for _, p := range list {
		fmt.Fprintf(out, "  %s %d bytes\n", p.Name, p.Bytes)
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// libraryLog takes what the library says. Its Infof comes with every sample, so it is
// for debugging.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Alertf(_ string, format string, args ...any) { l.log.Debug(text(format, args)) }
func (l libraryLog) Infof(format string, args ...any)            { l.log.Debug(text(format, args)) }
func (l libraryLog) Debugf(format string, args ...any)           { l.log.Debug(text(format, args)) }
func (l libraryLog) Tracef(format string, args ...any)           { l.log.Debug(text(format, args)) }
func (l libraryLog) Warnf(format string, args ...any)            { l.log.Warn(text(format, args)) }
func (l libraryLog) Errorf(format string, args ...any)           { l.log.Error(text(format, args)) }
func (l libraryLog) Fatalf(format string, args ...any)           { l.log.Error(text(format, args)) }
func (libraryLog) SetLogLevel(log.Level)                         {}
func (libraryLog) GetLogLevel() log.Level                        { return log.DEBUG }
func (libraryLog) Toggle(bool)                                   {}
func (libraryLog) Disable() bool                                 { return false }

func text(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
