// Command mosn is the data plane of SOFAMesh: a proxy that reads Envoy's
// configuration. "mosn --help" lists the flags.
package main

import (
	"os"

	"sofamesh.io/sofamesh/mosn/builtin"
	"sofamesh.io/sofamesh/mosn/server"
)

func main() {
	os.Exit(server.Main(builtin.Default(), os.Args, os.Stdout, os.Stderr))
}
