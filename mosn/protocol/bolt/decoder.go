package bolt

import (
	"encoding/binary"
	"hash/crc32"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// decoder is where reading stands. Between frames it is empty.
type decoder struct {
	stream  uint64 // whose content is being read
	left    int    // bytes of content still to come
	inside  bool   // a frame, after its head
	discard bool   // nobody wants the content
	hasCRC  bool   // a CRC follows it
	checked bool   // and is known to be right
	partial bool   // the beginning of a head has arrived
	crc     uint32 // of what has been read of the frame
}

// Decode implements sdk.CodecConn.
func (c *conn) Decode(in []byte, ev *sdk.Event) (n int, err error) {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.failed != nil {
		c.told = true
		return 0, c.failed
	}
	if stream, ok := c.nextWindow(); ok {
		ev.Kind, ev.Stream = sdk.EventWindow, stream
		return 0, nil
	}
	for {
		var k int
		if c.inside {
			k, err = c.content(in[n:], ev)
		} else {
			k, err = c.frame(in[n:], ev)
		}
		n += k
		if len(in) > 0 {
			c.partial = n < len(in)
		}
		if err != nil {
			ev.Kind = sdk.EventNone
			if ce, ok := err.(*sdk.CodecError); !ok || !ce.Stream {
				c.failed, c.told = err, true
			}
			return n, err
		}
		if ev.Kind != sdk.EventNone || k == 0 {
			return n, nil
		}
	}
}

// frame reads the head of a frame, and says or skips what is no message.
func (c *conn) frame(in []byte, ev *sdk.Event) (int, error) {
	var f fixed
	if err := f.parse(in); err != nil || f.size == 0 {
		return 0, err
	}
	if err := f.check(&c.cfg.Limits); err != nil {
		return 0, err
	}
	server := c.cfg.side == sdk.Downstream
	switch {
	case f.cmd == cmdHeartbeat && f.kind != typeResponse:
		if f.kind == typeRequest {
			c.say(fixed{v2: f.v2, kind: typeResponse, id: f.id, serial: f.serial})
		}
	case f.cmd == cmdHeartbeat:
		ev.Kind = sdk.EventDropped
		if c.beating && f.id == c.beat {
			c.beating, ev.Kind = false, sdk.EventHeartbeat
		}
	case f.cmd == cmdGoAway && !server:
		c.goAway = true
		ev.Kind, ev.Stream = sdk.EventGoAway, c.serial<<32|(1<<32-1)
	case f.cmd == cmdGoAway: // a client that leaves needs no answer
	case f.cmd == cmdRequest && server:
		return c.request(in, &f, ev)
	case f.cmd == cmdRequest: // a server calls its client
		if f.kind == typeRequest {
			c.say(fixed{v2: f.v2, kind: typeResponse, cmd: cmdResponse, id: f.id, serial: f.serial, status: statusNoProcessor})
		}
		ev.Kind = sdk.EventDropped
	case server || !c.expects(f.id):
		ev.Kind = sdk.EventDropped
	default:
		return c.response(in, &f, ev)
	}
	c.skip(f.head() - f.size + f.content + f.trailer())
	return f.size, nil
}

// expects reports whether a response with the id belongs to a request of ours.
func (c *conn) expects(id uint32) bool {
	o := c.table.get(id)
	return o != nil && o.begun
}

// skip passes over n bytes.
func (c *conn) skip(n int) {
	c.decoder = decoder{left: n, inside: n > 0, discard: true}
}

// complete reports whether so much of a message is there that its head can be
// handed on, and checks the CRC if all of it is.
func (c *conn) complete(in []byte, f *fixed) (bool, error) {
	whole := f.content <= c.cfg.LookAhead
	need := f.head() + min(f.content, c.cfg.LookAhead)
	if whole {
		need += f.trailer()
	}
	if len(in) < need {
		return false, nil
	}
	if whole && f.crc {
		end := f.head() + f.content
		if crc32.ChecksumIEEE(in[:end]) != binary.BigEndian.Uint32(in[end:]) {
			return false, errCRC
		}
	}
	return true, nil
}

// request hands on the head of a request.
func (c *conn) request(in []byte, f *fixed, ev *sdk.Event) (int, error) {
	if ok, err := c.complete(in, f); !ok {
		return 0, err
	}
	if c.table.get(f.id) != nil {
		return 0, errDuplicate
	}
	if c.table.used >= c.cfg.Streams {
		return 0, errTooMany
	}
	ev.Stream = c.newStream(f.id)
	if f.kind == typeRequest {
		sofa := string(in[f.size:f.size+f.class]) == hessian.SofaRequestClass
		c.table.add(open{stream: ev.Stream, id: f.id, v2: f.v2, serial: f.serial, sofa: sofa})
	}
	if err := c.showRequest(in, f, ev.Msg); err != nil {
		c.skip(f.content + f.trailer())
		return f.head(), err
	}
	ev.Kind = sdk.EventHeaders
	return c.begin(in, f, ev), nil
}

// showRequest makes the view of a request.
func (c *conn) showRequest(in []byte, f *fixed, m *sdk.Message) error {
	m.Reset()
	m.Protocol, m.Codec = sdk.RPC, c.cfg.codec
	m.OneWay = f.kind == typeOneWay
	if !m.OneWay {
		m.Timeout = f.wait()
	}
	m.AddID(sdk.HeaderMethod, "POST")
	m.SetInt(sdk.HeaderContentLength, int64(f.content))
	head := in[:f.head()]
	var v viewer
	v.init(m, head[f.size+f.class:])
	var d identity
	if err := d.headers(&v, c.cfg.Count); err != nil {
		return err
	}
	if err := d.read(c, f, head, in[f.head():f.head()+min(f.content, c.cfg.LookAhead)]); err != nil {
		return err
	}
	if err := d.show(m, &c.service); err != nil {
		return err
	}
	m.Share = d.writer.share()
	v.finish(head, d.writer)
	return nil
}

// response hands on the head of a response.
func (c *conn) response(in []byte, f *fixed, ev *sdk.Event) (int, error) {
	if ok, err := c.complete(in, f); !ok {
		return 0, err
	}
	ev.Stream = c.table.get(f.id).stream
	head := in[:f.head()]
	block := head[f.size+f.class:]
	if checkMap(block, c.cfg.Count) != nil {
		c.close(ev.Stream)
		c.skip(f.content + f.trailer())
		ev.Kind, ev.Reset = sdk.EventReset, sdk.ResetProtocol
		return f.head(), nil
	}
	m := ev.Msg
	m.Reset()
	m.Protocol, m.Codec = sdk.RPC, c.cfg.codec
	m.SetStatus(httpStatus(f.status, applicationFailed(block)))
	m.SetInt(sdk.HeaderRPCStatus, int64(f.status))
	m.SetInt(sdk.HeaderContentLength, int64(f.content))
	show(m, head, f.size+f.class, 0)
	ev.Kind = sdk.EventHeaders
	return c.begin(in, f, ev), nil
}

// applicationFailed looks for the header of an application's exception.
func applicationFailed(block []byte) bool {
	for e := (entry{}); e.end < len(block) && e.next(block); {
		if string(block[e.key:e.keyEnd]) == headerFailed {
			return string(block[e.value:e.end]) == "true"
		}
	}
	return false
}

// begin turns to the content of a message and returns the length of the head.
func (c *conn) begin(in []byte, f *fixed, ev *sdk.Event) int {
	c.decoder = decoder{stream: ev.Stream, left: f.content, inside: true, hasCRC: f.crc}
	if f.crc {
		if c.checked = f.content <= c.cfg.LookAhead; !c.checked {
			c.crc = crc32.ChecksumIEEE(in[:f.head()])
		}
	}
	if f.content > 0 {
		return f.head()
	}
	ev.End = true
	c.ended()
	return f.head() + f.trailer()
}

// content hands on, or skips, what there is of a content. A CRC that is not checked
// yet is read by itself, after all of the content.
func (c *conn) content(in []byte, ev *sdk.Event) (int, error) {
	n := min(len(in), c.left)
	data := in[:n:n]
	c.left -= n
	last := c.left == 0
	switch {
	case !c.hasCRC:
	case c.checked:
		if last = last && len(in)-n >= 4; last {
			n += 4
		}
	case n > 0:
		c.crc = crc32.Update(c.crc, crc32.IEEETable, data)
		last = false
	default:
		if last = len(in) >= 4; last {
			n = 4
			if binary.BigEndian.Uint32(in) != c.crc {
				return 0, errCRC
			}
		}
	}
	if !c.discard && (len(data) > 0 || last) {
		ev.Kind, ev.Stream, ev.Data, ev.End = sdk.EventData, c.decoder.stream, data, last
	}
	if last {
		c.ended()
	}
	return n, nil
}

// ended is called at the end of a frame.
func (c *conn) ended() {
	stream := c.decoder.stream
	c.decoder = decoder{}
	if c.cfg.side == sdk.Upstream && c.find(stream) != nil {
		c.close(stream)
	}
}

// EOF implements sdk.CodecConn.
func (c *conn) EOF(ev *sdk.Event) error {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.inside || c.partial {
		return errCutOff
	}
	return nil
}
