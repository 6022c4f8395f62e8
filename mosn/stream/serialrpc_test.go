package stream

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// turns is a Serial protocol of RPC: HTTP/1 under another name.
type turns struct {
	sdk.CodecConfig
	codec *sdk.Codec
}

func (t turns) Codec() *sdk.Codec  { return t.codec }
func (t turns) New() sdk.CodecConn { return turnsConn{t.CodecConfig.New(), t.codec} }

type turnsConn struct {
	sdk.CodecConn
	codec *sdk.Codec
}

func (t turnsConn) Decode(in []byte, ev *sdk.Event) (int, error) {
	n, err := t.CodecConn.Decode(in, ev)
	if ev.Kind == sdk.EventHeaders {
		ev.Msg.Protocol, ev.Msg.Codec = sdk.RPC, t.codec
	}
	return n, err
}

// inTurns has connections speak that protocol alone.
func inTurns(o setup) setup {
	codec := &sdk.Codec{Name: "turns", Mode: sdk.Serial, RPC: true}
	edit := o.edit
	o.edit = func(cfg *Config) {
		cfg.Codecs = []sdk.CodecConfig{turns{cfg.Codecs[0], codec}}
		if edit != nil {
			edit(cfg)
		}
	}
	o.rpc = []sdk.CodecConfig{viaHTTP{codec}}
	return o
}

// TestInTurns: requests that come at once are served one after another; the connection
// ends after as many as it may carry, or with the response under way when it drains.
func TestInTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		edit   func(*Config)
		drain  bool
		served int
	}{
		"for ever":                    {nil, false, 3},
		"max_requests_per_connection": {func(cfg *Config) { cfg.MaxRequestsPerConnection = 2 }, false, 2},
		"drained":                     {nil, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, inTurns(setup{edit: tt.edit}))
			c := w.client()
			w.send(c, get+get+get)
			b := w.backend(1)
			if tt.drain {
				w.w.Drain()
			}
			for range tt.served {
				if got := strings.Count(b.Received(), "GET /"); got != 1 {
					t.Fatalf("the host got %d requests", got)
				}
				w.send(b, ok2)
			}
			if got := b.Received(); got != "" {
				t.Errorf("the host got %q", got)
			}
			if got := strings.Count(c.Received(), "200 OK"); got != tt.served {
				t.Errorf("%d answers", got)
			}
			if ends := tt.served < 3; c.Ended() != ends {
				t.Errorf("ended %t", c.Ended())
			}
			w.stats("downstream_cx_rpc_total", 1, "downstream_rq_rpc_total", tt.served)
		})
	}
}
