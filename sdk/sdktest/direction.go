package sdktest

import (
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// direction is one way through the filter: what sdk.Action and sdk.Stream promise, for
// a chain of one.
type direction struct {
	s        *Stream
	toServer bool
	out      *Passed

	head, trailers sdk.Headers
	hasTrailers    bool

	action   sdk.Action // Continue, or how the filter has stopped
	heldHead bool
	heldEnd  bool
	heldTail bool // trailers that the filter has not let pass
	added    bool // trailers that the filter has made
	inside   bool // the filter is being called
	last     bool // with the end
	early    bool // and has resumed already
	hold     sdk.Buffer
}

func (d *direction) trailersOrNil() *sdk.Headers {
	if !d.hasTrailers {
		return nil
	}
	return &d.trailers
}

func fill(h *sdk.Headers, lines []string) {
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1 // not the one of ":path"
		h.Add(l[:i], strings.TrimSpace(l[i+1:]))
	}
}

func list(h *sdk.Headers) []string {
	lines := []string{}
	for name, value := range h.All() {
		lines = append(lines, name+": "+value)
	}
	return lines
}

// call calls the filter and returns its verdict.
func (d *direction) call(end bool, f func() sdk.Action) sdk.Action {
	d.inside, d.last, d.early = true, end, false
	replies := len(d.s.Replies)
	act := f()
	d.inside = false
	if (act == sdk.Replied) != (len(d.s.Replies) > replies) {
		d.s.host.tb.Errorf("the filter returned %d after %d replies", act, len(d.s.Replies)-replies)
	}
	if d.early && (act == sdk.Pause || act == sdk.Collect) {
		return sdk.Continue
	}
	return act
}

func (d *direction) sendHead(end bool, lines []string) {
	fill(&d.head, lines)
	if d.s.over() {
		return
	}
	d.heldHead, d.heldEnd = true, end
	d.action = d.call(end, func() sdk.Action {
		if d.toServer {
			return d.s.filter.OnRequestHeaders(d.s, end)
		}
		return d.s.filter.OnResponseHeaders(d.s, end)
	})
	if d.action == sdk.Continue {
		d.release()
	}
}

func (d *direction) sendData(p string, end bool) {
	if d.s.over() {
		return
	}
	b := &d.s.chunk
	b.AppendString(p)
	d.heldEnd = end
	was := d.action
	if was == sdk.Pause {
		d.hold.Move(b)
		return
	}
	if was == sdk.Collect {
		d.hold.Move(b)
		b = &d.hold
	}
	act := d.call(end, func() sdk.Action {
		if d.toServer {
			return d.s.filter.OnRequestData(d.s, b, end)
		}
		return d.s.filter.OnResponseData(d.s, b, end)
	})
	if b != &d.hold {
		b.Move(&d.hold) // what the filter has put behind it
		d.hold.Move(b)
	}
	d.action = act
	switch {
	case act == sdk.Continue:
		d.release()
	case act == sdk.Collect && d.limit() > 0 && d.hold.Len() > d.limit():
		d.tooLarge()
	}
}

func (d *direction) limit() int {
	if d.toServer && d.s.RequestLimit > 0 {
		return d.s.RequestLimit
	}
	return d.s.host.Limit
}

func (d *direction) tooLarge() {
	r := sdk.Reply{Status: 500, Details: "response_payload_too_large"}
	if d.toServer {
		r = sdk.Reply{Status: 413, Details: "request_payload_too_large"}
	}
	d.s.Reply(r)
}

func (d *direction) sendTrailers(lines []string) {
	fill(&d.trailers, lines)
	d.hasTrailers, d.heldTail = true, true
	if !d.s.over() && d.action != sdk.Pause {
		d.showTrailers()
	}
}

func (d *direction) showTrailers() {
	act := d.call(false, func() sdk.Action {
		if d.toServer {
			return d.s.filter.OnRequestTrailers(d.s)
		}
		return d.s.filter.OnResponseTrailers(d.s)
	})
	if act == sdk.Continue {
		d.release()
	} else {
		d.action = sdk.Pause
	}
}

func (d *direction) resumed() {
	switch {
	case d.inside:
		d.early = true
	case d.action == sdk.Continue || d.s.over():
	case d.heldTail && d.action == sdk.Pause:
		d.showTrailers()
	default:
		d.release()
	}
}

// releaseSome lets n bytes pass of what is held.
func (d *direction) releaseSome(n int) {
	if n = min(n, d.hold.Len()); n <= 0 || d.inside || d.action != sdk.Pause || d.s.over() {
		return
	}
	if d.heldHead {
		d.heldHead, d.out.Head = false, list(&d.head)
	}
	d.out.Body += string(d.hold.Bytes(nil)[:n])
	d.hold.Drain(n)
}

// release lets pass what is there.
func (d *direction) release() {
	d.action = sdk.Continue
	tail := d.heldTail || d.added
	if tail && d.trailers.Len() == 0 {
		tail, d.hasTrailers, d.heldEnd = false, false, true
	}
	o := d.out
	if d.heldHead {
		o.Head = list(&d.head)
	}
	o.Body += string(d.hold.Bytes(nil))
	d.hold.Release()
	if tail {
		o.Trailers = list(&d.trailers)
	}
	o.Ended = o.Ended || tail || d.heldEnd
	d.heldHead, d.heldTail, d.added = false, false, false
}
