package framecodec

import (
	"bytes"
	"encoding/binary"
	"time"
	"unsafe"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/rpcview"
	"sofamesh.io/sofamesh/sdk/servicekey"
)

// AddHeader shows a header of a request or response. Its name is shown in lower case,
// control characters of its value as '?'. Names that are no HTTP token, or belong to
// HTTP's own machinery, are not shown (see sdk/rpcview).
func (f *Frame) AddHeader(name, value []byte) {
	if f.view == nil {
		return
	}
	if f.room--; f.room < 0 {
		f.crowd = true
		return
	}
	var buf [rpcview.MaxName]byte
	shown := rpcview.Name(buf[:], name)
	if shown == nil {
		return
	}
	if !rpcview.IsClean(value) {
		value = bytes.Clone(value)
		rpcview.Clean(value)
	}
	f.view.AddBytes(sdk.LookupHeader(str(shown)), shown, value)
}

// str is b as a string, valid and constant as long as b is.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// read calls Read. The view gets the fields that belong in front of the headers; those
// that hang on what is read are set afterwards.
func (c *conn) read(head []byte, m *sdk.Message) error {
	m.Reset()
	m.Protocol, m.Codec = sdk.RPC, c.cfg.codec
	if c.cfg.side == sdk.Downstream {
		m.AddID(sdk.HeaderMethod, "POST")
		m.AddID(sdk.HeaderAuthority, c.cfg.Name)
		m.AddID(sdk.HeaderPath, "/")
	} else {
		m.AddID(sdk.HeaderStatus, "200")
	}
	f := &c.found
	*f = Frame{room: c.cfg.Limits.Headers}
	if c.cfg.Level == sdk.Medium {
		f.view = m
	}
	err := c.cfg.Read(head, f)
	f.view = nil
	return err
}

// showRequest makes the rest of the view of a request.
func (c *conn) showRequest(f *Frame, m *sdk.Message) error {
	if m.OneWay = f.Kind == OneWay; !m.OneWay {
		m.Timeout = max(f.Timeout, 0)
	}
	if c.cfg.Level != sdk.Medium {
		return nil
	}
	switch {
	case f.crowd:
		return c.cfg.errs.headers
	case !rpcview.InPath(f.Service) || !rpcview.InPath(f.Method) || !rpcview.InLine(f.Group) || !rpcview.InLine(f.Version):
		return c.cfg.errs.service
	}
	var buf [512]byte
	key := servicekey.Key{Interface: str(f.Service), Version: str(f.Version), Group: str(f.Group)}
	m.SetID(sdk.HeaderAuthority, str(servicekey.Append(buf[:0], key)))
	path := append(append(buf[:0], '/'), f.Service...)
	m.SetID(sdk.HeaderPath, str(append(append(path, '/'), f.Method...)))
	if len(f.Version) > 0 {
		m.AddID(sdk.HeaderRPCVersion, key.Version)
	}
	if len(f.Group) > 0 {
		m.AddID(sdk.HeaderRPCGroup, key.Group)
	}
	return nil
}

// showResponse makes the rest of the view of a response.
func showResponse(f *Frame, m *sdk.Message) {
	switch {
	case f.Status == 0 || f.Status == 200:
	case f.Status < 200 || f.Status > 599:
		m.SetStatus(500)
	default:
		m.SetStatus(f.Status)
	}
}

// A Frame of a Message is the head as it came and then what else its writer has to
// know: u32 length of the content, u64 timeout in ns, u8 kind.
const suffix = 13

type sent struct {
	content int
	timeout time.Duration
	kind    Kind
}

// keepHead puts the head into the message.
func keepHead(m *sdk.Message, head []byte, f *Frame, content int) {
	m.Frame = append(m.Frame[:0], head...)
	m.Frame = binary.BigEndian.AppendUint32(m.Frame, uint32(content))
	m.Frame = binary.BigEndian.AppendUint64(m.Frame, uint64(f.Timeout))
	m.Frame = append(m.Frame, byte(f.Kind))
	m.SetInt(sdk.HeaderContentLength, int64(content))
}

// kept splits what keepHead has put into a message.
func kept(frame []byte) (head []byte, s sent) {
	n := len(frame) - suffix
	head, p := frame[:n:n], frame[n:]
	return head, sent{int(binary.BigEndian.Uint32(p)), time.Duration(binary.BigEndian.Uint64(p[4:])), Kind(p[12])}
}
