package eventloop

import (
	"net/netip"

	"sofamesh.io/sofamesh/sdk"
)

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func newTestPool() *sdk.BufferPool { return sdk.NewBufferPool(4) }

type nopTimer struct{}

func (nopTimer) OnTimer(*Timer) {}
