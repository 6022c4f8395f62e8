package server

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestFlags sets every flag once, in both of its spellings.
func TestFlags(t *testing.T) {
	type check func(*Options) any
	for _, c := range []struct {
		args string
		get  check
		want any
	}{
		{"-c a.yaml", func(o *Options) any { return o.ConfigPath }, "a.yaml"},
		{"--config-path=a.yaml", func(o *Options) any { return o.ConfigPath }, "a.yaml"},
		{"--config-yaml {}", func(o *Options) any { return o.ConfigYAML }, "{}"},
		{"", func(o *Options) any { return o.Mode }, Serve},
		{"--mode validate", func(o *Options) any { return o.Mode }, Validate},
		{"--mode init_only", func(o *Options) any { return o.Mode }, InitOnly},
		{"", func(o *Options) any { return o.Concurrency }, 0},
		{"--concurrency 3", func(o *Options) any { return o.Concurrency }, 3},
		{"--concurrency 0", func(o *Options) any { return o.Concurrency }, 1},
		{"-l debug", func(o *Options) any { return o.LogLevel }, "debug"},
		{"--log-level warn", func(o *Options) any { return o.LogLevel }, "warn"},
		{"--component-log-level admin:debug,http:trace", func(o *Options) any { return o.ComponentLogLevel }, "admin:debug,http:trace"},
		{"--log-format %v", func(o *Options) any { return o.LogFormat }, "%v"},
		{"--log-format-escaped", func(o *Options) any { return o.LogFormatEscaped }, true},
		{"--log-path x.log", func(o *Options) any { return o.LogPath }, "x.log"},
		{"--service-node a", func(o *Options) any { return o.ServiceNode }, "a"},
		{"--service-cluster a", func(o *Options) any { return o.ServiceCluster }, "a"},
		{"--service-zone a", func(o *Options) any { return o.ServiceZone }, "a"},
		{"", func(o *Options) any { return o.DrainTime }, 600 * time.Second},
		{"--drain-time-s 2", func(o *Options) any { return o.DrainTime }, 2 * time.Second},
		{"", func(o *Options) any { return o.ParentShutdownTime }, 900 * time.Second},
		{"--parent-shutdown-time-s 2", func(o *Options) any { return o.ParentShutdownTime }, 2 * time.Second},
		{"--drain-strategy immediate", func(o *Options) any { return o.DrainImmediate }, true},
		{"--drain-strategy gradual", func(o *Options) any { return o.DrainImmediate }, false},
		{"--file-flush-interval-msec 50", func(o *Options) any { return o.FileFlushInterval }, 50 * time.Millisecond},
		{"--base-id 70000", func(o *Options) any { return o.BaseID }, uint(70000)},
		{"--use-dynamic-base-id", func(o *Options) any { return o.DynamicBaseID }, true},
		{"--disable-hot-restart", func(o *Options) any { return o.DisableHotRestart }, true},
		{"--cpuset-threads", func(o *Options) any { return len(o.Warnings) }, 0},
		{"--admin-address-path a", func(o *Options) any { return o.AdminAddressPath }, "a"},
		{"--allow-unknown-static-fields", func(o *Options) any { return o.AllowUnknownStatic }, true},
		{"--allow-unknown-fields", func(o *Options) any { return o.AllowUnknownStatic }, true},
	} {
		o, err := ParseArgs(strings.Fields(c.args), io.Discard)
		if err != nil || !reflect.DeepEqual(c.get(o), c.want) {
			t.Errorf("%q: %+v, %v; want %v", c.args, o, err, c.want)
		}
	}
}

// TestInertFlags: Envoy's other flags are taken, with one warning each, however
// often they come.
func TestInertFlags(t *testing.T) {
	for name := range inert() {
		args := []string{"--" + name}
		if f := "--" + name; !strings.Contains(" --"+strings.Join(switches(), " --")+" ", " "+f+" ") {
			args = append(args, "1")
		}
		o, err := ParseArgs(append(args, args...), io.Discard)
		if err != nil || len(o.Warnings) != 1 || !strings.HasPrefix(o.Warnings[0], "--"+name+" has no effect: ") {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--no-such-flag":              "-no-such-flag",
		"file.yaml":                   `unexpected argument "file.yaml"`,
		"--concurrency x":             "want a number from 0 to 65535",
		"--concurrency -1":            "want a number",
		"--concurrency 65536":         "want a number",
		"--drain-time-s 1s":           "want a whole number",
		"--drain-strategy slow":       "want gradual or immediate",
		"--mode run":                  "unknown mode 'run'",
		"-l loud":                     `invalid log level "loud"`,
		"--component-log-level admin": `component log level "admin": want component:level`,
		"--component-log-level a:b":   `invalid log level "b"`,
		"-c":                          "flag needs an argument",
		"--base-id -1":                "invalid value",
	} {
		if _, err := ParseArgs(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestPrintAndExit(t *testing.T) {
	for args, want := range map[string]string{
		"--version":             "mosn  version: ",
		"--hot-restart-version": "disabled\n",
		"--help":                "--config-path file\n",
		"-h":                    "usage: mosn -c FILE",
	} {
		var out bytes.Buffer
		_, err := ParseArgs(strings.Fields(args), &out)
		if !errors.Is(err, errDone) || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, %q", args, err, out.String())
		}
	}
}

// TestHelpNamesEveryFlag guards the usage text.
func TestHelpNamesEveryFlag(t *testing.T) {
	var out bytes.Buffer
	if _, err := ParseArgs([]string{"--help"}, &out); !errors.Is(err, errDone) {
		t.Fatal(err)
	}
	f := flag.NewFlagSet("", flag.ContinueOnError)
	o := &Options{}
	o.define(f)
	o.defineInert(f)
	f.VisitAll(func(fl *flag.Flag) {
		if !strings.Contains(out.String(), "-"+fl.Name) {
			t.Errorf("--help does not name %s", fl.Name)
		}
		if fl.Usage == "" {
			t.Errorf("%s has no usage", fl.Name)
		}
	})
}

func TestVersionForm(t *testing.T) {
	if parts := strings.Split(versionString(), "/"); len(parts) != 5 || parts[1] != version {
		t.Errorf("%q", versionString())
	}
}
