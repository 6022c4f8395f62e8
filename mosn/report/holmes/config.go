// Package holmes watches the process for bursts of CPU, memory and goroutines, and
// leaves a profile of each in a folder: mosn.io/holmes, with a bound on what is kept.
//
// It is a bootstrap extension of our own, a TypedStruct of the type "mosn.bootstrap.holmes":
//
//	bootstrap_extensions:
//	- name: mosn.bootstrap.holmes
//	  typed_config:
//	    "@type": type.googleapis.com/xds.type.v3.TypedStruct
//	    type_url: type.googleapis.com/mosn.bootstrap.holmes
//	    value: { folder: /var/log/mosn/profiles, cpu: { abs: 80 } }
//
// Nothing here runs on a loop. The library samples on goroutines of its own, which end
// within an interval after Close; a sample of the CPU takes a second of waiting.
package holmes

import (
	"math"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// Name is the name of the extension.
const Name = "mosn.bootstrap.holmes"

// Config says what to watch and what to keep.
type Config struct {
	// Folder is where profiles are written. It is made when it is not there.
	Folder string `json:"folder"`
	// Interval is the time between samples. Ten samples are taken before the first
	// profile, so that there is something to compare with.
	Interval sdk.Duration `json:"interval"`
	// MaxFiles and MaxBytes bound the profiles in the folder: the oldest go first.
	MaxFiles int   `json:"max_files"`
	MaxBytes int64 `json:"max_bytes"`
	// CPU and Heap are in percent of what the process may use, Goroutines and Threads in
	// numbers. Heap is the resident memory.
	CPU        *Trigger `json:"cpu"`
	Heap       *Trigger `json:"heap"`
	Goroutines *Trigger `json:"goroutines"`
	Threads    *Trigger `json:"threads"`
}

// Trigger says when a burst is one: when the value is over Min, and over Abs or Diff
// percent above the average of the last ten samples. A missing trigger watches nothing;
// what is missing in one has the library's default.
type Trigger struct {
	Min      int          `json:"min"`
	Diff     int          `json:"diff"`
	Abs      int          `json:"abs"`
	Cooldown sdk.Duration `json:"cooldown"` // the shortest time between two profiles
}

// The bounds of what may be asked for.
const (
	minInterval = 100 * time.Millisecond
	maxInterval = time.Hour
	maxFiles    = 1000
)

// Compile reads and checks the configuration. Without any trigger, those of CPU, heap
// and goroutines are on.
func Compile(c sdk.Compiler, pb *structpb.Struct) (*Config, error) {
	cfg := &Config{Interval: sdk.Duration(5 * time.Second), MaxFiles: 20, MaxBytes: 200 << 20}
	if err := sdk.DecodeStruct(c, pb, cfg); err != nil {
		return nil, err
	}
	if cfg.CPU == nil && cfg.Heap == nil && cfg.Goroutines == nil && cfg.Threads == nil {
		cfg.CPU, cfg.Heap, cfg.Goroutines = &Trigger{}, &Trigger{}, &Trigger{}
	}
	switch d := time.Duration(cfg.Interval); {
	case cfg.Folder == "":
		return nil, c.At("folder").Errorf("is missing: where shall profiles be written?")
	case d < minInterval || d > maxInterval:
		return nil, c.At("interval").Errorf("%v is not between %v and %v", d, minInterval, maxInterval)
	case cfg.MaxFiles < 1 || cfg.MaxFiles > maxFiles:
		return nil, c.At("max_files").Errorf("%d is not between 1 and %d", cfg.MaxFiles, maxFiles)
	case cfg.MaxBytes < 1:
		return nil, c.At("max_bytes").Errorf("%d is not positive", cfg.MaxBytes)
	}
	for _, k := range kinds() {
		t := *k.trigger(cfg)
		if t == nil {
			continue
		}
		if t.Min < 0 || t.Diff < 0 || t.Abs < 0 || t.Cooldown < 0 {
			return nil, c.At(k.name).Errorf("a threshold is negative")
		}
		t.fill(k.defaults)
	}
	return cfg, nil
}

func (t *Trigger) fill(def Trigger) {
	if t.Min == 0 {
		t.Min = def.Min
	}
	if t.Diff == 0 {
		t.Diff = def.Diff
	}
	if t.Abs == 0 {
		t.Abs = def.Abs
	}
	if t.Cooldown == 0 {
		t.Cooldown = def.Cooldown
	}
}

// memoryLimit is what the process may use, 0 for all of the machine's.
func memoryLimit() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit > 0 && limit < math.MaxInt64 {
		return uint64(limit)
	}
	return 0
}
