// Package builtin is THE list of the data plane's extensions, as data: what the mosn
// binary is built with. A proxy with other extensions takes Default() and adds its
// own with Extensions.With.
package builtin

import (
	"sofamesh.io/sofamesh/mosn/accesslog/file"
	"sofamesh.io/sofamesh/mosn/accesslog/stderr"
	"sofamesh.io/sofamesh/mosn/accesslog/stdout"
	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/network/hcm"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// Default returns the extensions of the mosn binary.
func Default() config.Extensions {
	return config.Extensions{
		Codecs:         []*sdk.Codec{http1.Codec()},
		HTTPFilters:    []*sdk.HTTPFilter{hcm.Router()},
		NetworkFilters: []stream.NetworkFilter{hcm.Filter()},
		AccessLogs:     []sdk.AccessLog{file.Logger(), stdout.Logger(), stderr.Logger()},
	}
}
