package bolt

import (
	"encoding/json"
	"strings"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// maxErrorText bounds the text of an error, in bytes. A result is never cut.
const maxErrorText = 4 << 10

// failedMap is the header map of an error that travels with status 0.
const failedMap = "\x00\x00\x00\x18" + headerFailed + "\x00\x00\x00\x04true"

// answer is reply with what a message that is not ours says.
func (c *conn) answer(out *sdk.Buffer, o open, m *sdk.Message) error {
	status, text := replyStatus(m), m.Text
	if text == "" && status != statusOK {
		text = "status " + m.ID(sdk.HeaderStatus)
	}
	return c.reply(out, o, status, text)
}

// reply answers a request ourselves, in its version and serialization: by the
// status alone, or for SOFARPC with the text where no status says as much.
func (c *conn) reply(out *sdk.Buffer, o open, status uint16, text string) error {
	f := fixed{v2: o.v2, kind: typeResponse, cmd: cmdResponse, id: o.id, serial: o.serial, status: status}
	var rest []byte
	if o.sofa && (status == statusOK || status == statusUnknown || status == statusNoProcessor) {
		rest = f.sofaResponse(text)
	}
	var fixedPart [24]byte
	frame := append(fixedPart[:f.put(fixedPart[:])], rest...)
	c.close(o.stream)
	if c.writing() {
		return c.hold(outgoing{}, frame)
	}
	out.Append(frame)
	return nil
}

// sofaResponse returns class, header map and content of a SofaResponse with the
// text as its error, or as its result if the status is OK, and sets the lengths and
// the status. A result must already be in the request's serialization, unless that
// is Hessian. It returns nil for a serialization that we do not write.
func (f *fixed) sofaResponse(text string) []byte {
	headers := ""
	if f.status != statusOK {
		headers = failedMap
		text = strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "")
	}
	p := append([]byte(hessian.SofaResponseClass), headers...)
	f.class, f.headers = len(hessian.SofaResponseClass), len(headers)
	switch f.serial {
	case serialHessian, serialHessian2:
		p = hessian.AppendSofaResponse(p, text, f.status != statusOK)
	case serialJSON:
		if headers != "" {
			quoted, _ := json.Marshal(text) // a text can be marshalled
			text = string(quoted)
		}
		p = append(p, text...)
	case serialProtobuf:
		p = append(p, text...)
	default:
		f.class, f.headers = 0, 0
		return nil
	}
	f.content = len(p) - f.class - f.headers
	f.status = statusOK
	return p
}
