package server

import (
	"fmt"
	"io"

	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/stats"
)

// validate compiles everything and opens nothing.
func validate(o *Options, boot *config.Bootstrap, registry *config.Registry, stdout, stderr io.Writer, log *Log) int {
	if err := boot.Runtime.Load(); err != nil {
		return fail(stderr, "error initializing configuration '%s': %v", o.ConfigPath, err)
	}
	store := config.NewStore(config.Options{
		Registry: registry, Stats: stats.NewStore(stats.Options{}), Loops: 1,
		Node: boot.Proto.GetNode(), Runtime: boot.Runtime.Values(),
		BindConfig: boot.Proto.GetClusterManager().GetUpstreamBindConfig(),
		Tracing:    boot.Tracing(),
	})
	result := store.Apply(boot.Resources())
	err := result.Err()
	if err == nil {
		_, err = compileAdmin(store.Compiler("bootstrap", boot.Where), boot.Proto.GetAdmin())
	}
	if err == nil {
		_, err = store.Services(boot.Proto.GetBootstrapExtensions(), boot.Where)
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
