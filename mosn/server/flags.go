package server

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sofamesh.io/sofamesh/mosn/config"
)

// Mode says what to do with a configuration.
type Mode string

// The modes of --mode.
const (
	Serve    Mode = "serve"
	Validate Mode = "validate"
	InitOnly Mode = "init_only"
)

// Options is the command line, with Envoy's names and defaults.
type Options struct {
	ConfigPath           string
	ConfigYAML           string
	Mode                 Mode
	Concurrency          int // 0: as many loops as there are CPUs for us
	LogLevel             string
	ComponentLogLevel    string
	LogFormat            string
	LogFormatEscaped     bool
	LogPath              string
	ServiceNode          string
	ServiceCluster       string
	ServiceZone          string
	DrainTime            time.Duration
	DrainImmediate       bool // --drain-strategy immediate
	ParentShutdownTime   time.Duration
	FileFlushInterval    time.Duration // 0: the default of accesslog
	BaseID               uint
	DynamicBaseID        bool
	DisableHotRestart    bool
	AdminAddressPath     string
	AllowUnknownStatic   bool
	RejectUnknownDynamic bool
	IgnoreUnknownDynamic bool
	Warnings             []string // of flags that have no effect
}

// DefaultLogFormat is Envoy's.
const DefaultLogFormat = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v"

// errDone means that the command line asked for something that is done now.
var errDone = errors.New("done")

// inert are the flags of Envoy's that change nothing here, each with why.
func inert() map[string]string {
	const no = "is not built yet"
	return map[string]string{
		"stats-tag": no, "enable-core-dump": no, "socket-mode": "there is no hot restart yet",
		"socket-path": "there is no hot restart yet", "disable-extensions": no,
		"enable-mutex-tracing": "there is no such tracing", "file-flush-min-size-kb": "lines are written at each flush",
		"restart-epoch": "there is no hot restart yet", "enable-fine-grain-logging": no,
		"local-address-ip-version": no, "log-stacktrace-single-entry": "there are no stack traces in the log",
		"skip-deprecated-logs": "there are no such logs", "base-id-path": "there is no hot restart yet",
		"skip-hot-restart-parent-stats": "there is no hot restart yet", "skip-hot-restart-on-no-parent": "there is no hot restart yet",
	}
}

// switches are the inert flags that take no value.
func switches() []string {
	return []string{"enable-core-dump", "enable-mutex-tracing", "enable-fine-grain-logging", "log-stacktrace-single-entry",
		"skip-deprecated-logs",
		"skip-hot-restart-parent-stats", "skip-hot-restart-on-no-parent"}
}

// ParseArgs reads a command line without the program's name. What --help, --version
// and --hot-restart-version print goes to out, and the error is then errDone.
func ParseArgs(args []string, out io.Writer) (*Options, error) {
	o := &Options{}
	f := flag.NewFlagSet("mosn", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	var version, restart bool
	f.BoolVar(&version, "version", false, "print the version and exit")
	f.BoolVar(&restart, "hot-restart-version", false, "print the hot restart version and exit")
	o.define(f)
	o.defineInert(f)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		printUsage(out, f)
		return nil, errDone
	case err != nil:
		return nil, err
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case version:
		_, err = fmt.Fprintln(out, Version())
		return nil, errors.Join(errDone, err)
	case restart:
		_, err = fmt.Fprintln(out, "disabled")
		return nil, errors.Join(errDone, err)
	}
	return o, o.check()
}

func (o *Options) define(f *flag.FlagSet) {
	str := func(p *string, short, name, def, usage string) {
		f.StringVar(p, name, def, usage)
		if short != "" {
			f.StringVar(p, short, def, "short for --"+name)
		}
	}
	str(&o.ConfigPath, "c", "config-path", "", "`file` with the bootstrap: .yaml, .yml or .json")
	str(&o.ConfigYAML, "", "config-yaml", "", "bootstrap as `YAML`, merged over --config-path")
	str((*string)(&o.Mode), "", "mode", string(Serve), "`serve`, validate (check the configuration and exit) or init_only")
	str(&o.LogLevel, "l", "log-level", "info", "`level`: trace, debug, info, warning, error, critical or off")
	str(&o.ComponentLogLevel, "", "component-log-level", "", "levels of components, `admin:debug,upstream:trace`")
	str(&o.LogFormat, "", "log-format", DefaultLogFormat, "`pattern` of log lines, in spdlog's syntax")
	str(&o.LogPath, "", "log-path", "", "`file` to log to instead of stderr")
	str(&o.ServiceNode, "", "service-node", "", "node `id`, wins over the bootstrap's")
	str(&o.ServiceCluster, "", "service-cluster", "", "node `cluster`, wins over the bootstrap's")
	str(&o.ServiceZone, "", "service-zone", "", "node `zone`, wins over the bootstrap's")
	str(&o.AdminAddressPath, "", "admin-address-path", "", "`file` to write the admin address to")
	f.BoolVar(&o.LogFormatEscaped, "log-format-escaped", false, "escape control characters in log messages")
	f.BoolVar(&o.DisableHotRestart, "disable-hot-restart", false, "no effect: there is no hot restart yet")
	f.BoolVar(&o.DynamicBaseID, "use-dynamic-base-id", false, "no effect: there is no hot restart yet")
	f.Bool("cpuset-threads", false, "no effect: the CPUs that the process may use are what counts")
	f.BoolVar(&o.AllowUnknownStatic, "allow-unknown-static-fields", false, "warn about unknown fields of the bootstrap")
	f.BoolVar(&o.AllowUnknownStatic, "allow-unknown-fields", false, "older name of --allow-unknown-static-fields")
	f.BoolVar(&o.RejectUnknownDynamic, "reject-unknown-dynamic-fields", false, "refuse dynamic resources with unknown fields")
	f.BoolVar(&o.IgnoreUnknownDynamic, "ignore-unknown-dynamic-fields", false, "do not warn about unknown fields of dynamic resources")
	f.UintVar(&o.BaseID, "base-id", 0, "no effect: there is no hot restart yet")
	f.Var((*count)(&o.Concurrency), "concurrency", "`number` of event loops (default: as many as CPUs)")
	o.DrainTime, o.ParentShutdownTime = 600*time.Second, 900*time.Second
	f.Var((*seconds)(&o.DrainTime), "drain-time-s", "`seconds` that requests have to end after SIGTERM")
	f.Var((*seconds)(&o.ParentShutdownTime), "parent-shutdown-time-s", "no effect: there is no hot restart yet")
	f.Var((*millis)(&o.FileFlushInterval), "file-flush-interval-msec", "`milliseconds` between writes of access logs")
	f.Func("drain-strategy", "`gradual` (default) or immediate", func(s string) error {
		if s != "gradual" && s != "immediate" {
			return errors.New("want gradual or immediate")
		}
		o.DrainImmediate = s == "immediate"
		return nil
	})
}

// unknown is what becomes of unknown fields of dynamic resources.
func (o *Options) unknown() config.UnknownFields {
	switch {
	case o.RejectUnknownDynamic:
		return config.RejectUnknown
	case o.IgnoreUnknownDynamic:
		return config.IgnoreUnknown
	}
	return config.WarnUnknown
}

// defineInert accepts the flags that change nothing, with one warning each.
func (o *Options) defineInert(f *flag.FlagSet) {
	warn := func(name, why string) func(string) error {
		return func(string) error {
			w := fmt.Sprintf("--%s has no effect: %s", name, why)
			if !slices.Contains(o.Warnings, w) {
				o.Warnings = append(o.Warnings, w)
			}
			return nil
		}
	}
	for name, why := range inert() {
		if slices.Contains(switches(), name) {
			f.BoolFunc(name, "no effect: "+why, warn(name, why))
		} else {
			f.Func(name, "no effect: "+why, warn(name, why))
		}
	}
}

func (o *Options) check() error {
	if !slices.Contains([]Mode{Serve, Validate, InitOnly}, o.Mode) {
		return fmt.Errorf("unknown mode '%s': want serve, validate or init_only", o.Mode)
	}
	if _, err := parseLevel(o.LogLevel); err != nil {
		return err
	}
	_, err := parseComponents(o.ComponentLogLevel)
	return err
}

func printUsage(out io.Writer, f *flag.FlagSet) {
	fmt.Fprint(out, `usage: mosn -c FILE [flags]
       mosn build [--with MODULE]...   a mosn with extensions of your own (mosn build --help)
       mosn new MODULE                 begin to write one (mosn new --help)

flags:
`)
	f.VisitAll(func(fl *flag.Flag) {
		name, usage := flag.UnquoteUsage(fl)
		dashes := "--"
		if len(fl.Name) == 1 {
			dashes = "-"
		}
		fmt.Fprintf(out, "  %s\n", strings.TrimSpace(dashes+fl.Name+" "+name))
		fmt.Fprintf(out, "        %s", usage)
		if fl.DefValue != "" && fl.DefValue != "false" && fl.DefValue != "0" {
			fmt.Fprintf(out, " (default %s)", fl.DefValue)
		}
		fmt.Fprintln(out)
	})
}

// count is a flag for a number of things.
type count int

func (c *count) String() string { return strconv.Itoa(int(*c)) }

// Set takes a number up to 2^16; 0 is 1, as in Envoy.
func (c *count) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return errors.New("want a number from 0 to 65535")
	}
	*c = count(max(n, 1))
	return nil
}

// seconds and millis are flags for durations given as a number.
type (
	seconds time.Duration
	millis  time.Duration
)

func (d *seconds) String() string { return strconv.Itoa(int(time.Duration(*d) / time.Second)) }

// Set takes whole seconds.
func (d *seconds) Set(s string) error { return setDuration((*time.Duration)(d), s, time.Second) }

func (d *millis) String() string { return strconv.Itoa(int(time.Duration(*d) / time.Millisecond)) }

// Set takes whole milliseconds.
func (d *millis) Set(s string) error { return setDuration((*time.Duration)(d), s, time.Millisecond) }

func setDuration(d *time.Duration, s string, unit time.Duration) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return errors.New("want a whole number from 0 to 4294967295")
	}
	*d = time.Duration(n) * unit
	return nil
}
