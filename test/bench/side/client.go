//go:build linux

package side

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"sofamesh.io/sofamesh/test/bench/load"
)

// Client speaks to a process that runs Serve. One command at a time.
type Client struct {
	enc *json.Encoder
	dec *json.Decoder
	// Port is the HTTP/1.1 backend's; Bolt and HTTP2 are those of the others.
	Port, Bolt, HTTP2 uint16
}

// NewClient waits for the process's first words. in is the process's standard input, out its standard output.
func NewClient(in io.Writer, out io.Reader) (*Client, error) {
	c := &Client{enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	var first reply
	if err := c.dec.Decode(&first); err != nil {
		return nil, fmt.Errorf("the load side did not start: %w", err)
	}
	c.Port, c.Bolt, c.HTTP2 = first.Port, first.Bolt, first.HTTP2
	return c, nil
}

// Run carries out a plan.
func (c *Client) Run(p load.Plan) (load.Result, error) {
	return c.do(command{Run: &p})
}

// Hold opens idle connections, each having asked once, and keeps them until Drop.
func (c *Client) Hold(target netip.AddrPort, conns int) error {
	_, err := c.do(command{Hold: &hold{Target: target, Conns: conns}})
	return err
}

// Drop closes the idle connections. It fails when one was lost meanwhile.
func (c *Client) Drop() error {
	_, err := c.do(command{Drop: true})
	return err
}

func (c *Client) do(cmd command) (load.Result, error) {
	if err := c.enc.Encode(cmd); err != nil {
		return load.Result{}, fmt.Errorf("load side: %w", err)
	}
	var rep reply
	if err := c.dec.Decode(&rep); err != nil {
		return load.Result{}, fmt.Errorf("load side: %w", err)
	}
	if rep.Error != "" {
		return load.Result{}, errors.New(rep.Error)
	}
	return rep.Result, nil
}
