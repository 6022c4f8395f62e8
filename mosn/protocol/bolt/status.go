package bolt

import "sofamesh.io/sofamesh/sdk"

// Bolt's status of a response (bolt's ResponseStatus).
const (
	statusOK           = 0
	statusError        = 1
	statusException    = 2
	statusUnknown      = 3
	statusBusy         = 4
	statusErrorComm    = 5
	statusNoProcessor  = 6
	statusTimeout      = 7
	statusSendError    = 8
	statusCodec        = 9
	statusClosed       = 16
	statusServerSerial = 17
	statusServerDeser  = 18
)

// httpStatus is what a response is shown as. An exception of the application
// travels with status 0 and the header sofa_head_response_error=true: it is shown
// as 500, as an UNKNOWN of gRPC would be, so that retry policies and outlier
// detection see it; x-rpc-status tells the two apart.
func httpStatus(status uint16, failed bool) int {
	switch status {
	case statusOK:
		if failed {
			return 500
		}
		return 200
	case statusBusy, statusClosed:
		return 503
	case statusErrorComm, statusSendError:
		return 502
	case statusNoProcessor:
		return 404
	case statusTimeout:
		return 504
	case statusServerDeser:
		return 400
	}
	return 500
}

// replyStatus is the status of a response that is not from a Bolt server: what a
// filter has put into x-rpc-status, else what fits its :status. For the Java client
// timeouts, overload and lost connections have statuses of their own; 502 is one of
// the last, as statusErrorComm says less.
func replyStatus(m *sdk.Message) uint16 {
	if s := m.ID(sdk.HeaderRPCStatus); s != "" && len(s) < 5 {
		n := 0
		for i := range len(s) {
			n = n*10 + int(s[i]-'0')
			if s[i] < '0' || s[i] > '9' {
				n = 0
				break
			}
		}
		if n != statusOK {
			return uint16(n)
		}
	}
	switch status := m.Status(); status {
	case 404:
		return statusNoProcessor
	case 408, 504:
		return statusTimeout
	case 429:
		return statusBusy
	case 502, 503:
		if m.HasID(sdk.HeaderEnvoyOverloaded) {
			return statusBusy
		}
		return statusClosed
	default:
		if status >= 200 && status < 300 {
			return statusOK
		}
		return statusUnknown
	}
}

// resetStatus is how a client is told that its call was given up.
func resetStatus(r sdk.ResetReason) uint16 {
	switch r {
	case sdk.ResetOverflow, sdk.ResetLocalRefused, sdk.ResetRefused:
		return statusBusy
	case sdk.ResetConnFailure, sdk.ResetConnLost, sdk.ResetConnectError:
		return statusClosed
	case sdk.ResetConnTimeout:
		return statusTimeout
	case sdk.ResetProtocol:
		return statusErrorComm
	}
	return statusUnknown
}
