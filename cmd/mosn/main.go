// Command mosn is the data plane of SOFAMesh: a proxy that reads Envoy's
// configuration. "mosn --help" lists the flags.
package main

import (
	"sofamesh.io/sofamesh/mosn/builtin"
	"sofamesh.io/sofamesh/mosn/server"
)

func main() {
	server.Main(builtin.Default())
}
