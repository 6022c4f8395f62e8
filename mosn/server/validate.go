package server

import (
	"errors"
	"fmt"
	"io"
	"time"

	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/stats"
)

// validateTime is how long resources have to come from files.
const validateTime = time.Minute

// validate compiles everything and opens nothing.
func validate(o *Options, boot *config.Bootstrap, registry *config.Registry, stdout, stderr io.Writer, log *Log) int {
	if err := boot.Runtime.Load(); err != nil {
		return fail(stderr, "error initializing configuration '%s': %v", o.ConfigPath, err)
	}
	store := config.NewStore(config.Options{
		Registry: registry, Stats: stats.NewStore(stats.Options{}), Loops: 1,
		Node: boot.Proto.GetNode(), Runtime: boot.Runtime.Values(),
		BindConfig: boot.Proto.GetClusterManager().GetUpstreamBindConfig(), Unknown: o.unknown(), Log: log.For(compConfig),
		Tracing: boot.Tracing(),
	})
	defer store.Close()
	result := store.Apply(boot.Resources())
	err := result.Err()
	if err == nil {
		err = checkStats(store, boot)
	}
	if err == nil {
		_, err = compileAdmin(store.Compiler("bootstrap", boot.Where), boot.Proto.GetAdmin())
	}
	if err == nil {
		_, err = store.Services(boot.Proto.GetBootstrapExtensions(), boot.Where)
	}
	if err == nil {
		err = followOnce(store, boot)
	}
	if err != nil {
		return fail(stderr, "error initializing configuration '%s': %v", o.ConfigPath, err)
	}
	for _, w := range append(boot.Warnings, result.Warnings...) {
		log.For(compConfig).Warn(w)
	}
	fmt.Fprintf(stdout, "configuration '%s' OK\n", o.ConfigPath)
	return 0
}

// followOnce has the files read that resources come from, and returns what is wrong
// with them. Envoy does not look into them here.
func followOnce(store *config.Store, boot *config.Bootstrap) error {
	if err := store.Follow(store.Compiler("bootstrap", boot.Where), boot.Proto.GetDynamicResources()); err != nil {
		return err
	}
	select {
	case <-store.Initialized():
	case <-time.After(validateTime):
		return errors.New("some resources do not come")
	}
	return store.Refused()
}
