package config

import (
	"os"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// defaultFetchTimeout is Envoy's initial_fetch_timeout: how long whoever needs a
// resource waits for the first news of it before going on without.
const defaultFetchTimeout = 15 * time.Second

// Want is what a subscription asks of a source: the resources of a type, by URL; the
// one of a name, or all where Name is "".
type Want struct{ Type, Name string }

// Update is the state of what was asked for, all of it each time.
type Update struct {
	Version   string // version_info
	Resources []Resource
	// Failed are resources that are there but could not be read; what is in force of
	// them stays. Of one whose name is not known, nothing is removed.
	Failed []Failure
	// Unknown says which fields were skipped as nobody knows them.
	Unknown []string
	// Err means that nothing could be had, and everything stays as it is.
	Err error
}

// ResourceSource delivers resources by itself: a file here, a management server in mosn/xds.
type ResourceSource interface {
	// Subscribe begins to deliver what w asks for. deliver is called with each change,
	// on a goroutine of the source and never from within Subscribe, one call at a time.
	// Its error names what was refused, which is no reason to stop. After stop, a call
	// that was under way may still come; the store does not mind.
	Subscribe(w Want, deliver func(*Update) error) (stop func(), err error)
}

// origin is a source with what the configuration says about it.
type origin struct {
	source  ResourceSource
	key     string        // tells origins apart
	timeout time.Duration // until the first answer; 0 is forever
}

// originOf compiles a ConfigSource; c stands at it. What is not a file the table of
// fields refuses.
func (c compiler) originOf(cs *corev3.ConfigSource) (origin, error) {
	o := origin{timeout: defaultFetchTimeout}
	if t := cs.GetInitialFetchTimeout(); t != nil {
		o.timeout = t.AsDuration()
	}
	if n := c.store.o.Node; n.GetId() == "" || n.GetCluster() == "" { // which a file does not need, but Envoy wants them
		return o, c.Errorf("node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node and --service-cluster options.")
	}
	pc := cs.GetPathConfigSource()
	at := c.at("path_config_source")
	spec := fileSpec{path: pc.GetPath(), poll: pc.GetPollInterval().AsDuration()}
	if pc == nil {
		//lint:ignore SA1019 deprecated in Envoy too, and in most files that people have
		spec.path, at = cs.GetPath(), c.at("path")
	}
	if spec.path == "" {
		return o, c.Errorf("names no source: path_config_source is missing")
	}
	if wd := pc.GetWatchedDirectory(); wd != nil {
		if spec.poll > 0 {
			return o, at.Errorf("watched_directory and poll_interval exclude each other")
		}
		spec.dir, spec.modify = wd.GetPath(), wd.GetWatchModify()
	}
	if _, err := os.Stat(spec.path); err != nil {
		return o, at.Errorf("paths must refer to an existing path in the system: '%s' does not exist", spec.path)
	}
	o.source, o.key = c.store.files.at(spec), spec.key()
	return o, nil
}
