package callout

import "sofamesh.io/sofamesh/sdk"

// Why a call has no answer, beside what an attempt fails by.
var (
	errNoCluster = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagNoClusterFound, Details: "cluster_not_found", Unsent: true,
	}
	errNoHost = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagNoHealthyUpstream, Details: "no_healthy_upstream", Unsent: true,
	}
	errTimeout = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagUpstreamRequestTimeout, Reset: sdk.ResetLocal, Details: "response_timeout",
	}
	errUnwritable = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagLocalReset, Reset: sdk.ResetLocal, Details: "upstream_codec_error", Unsent: true,
	}
	errTooLarge = &sdk.Error{
		Side: sdk.Upstream, Flag: sdk.FlagLocalReset, Reset: sdk.ResetLocal, Details: "response_payload_too_large",
	}
	errBusy = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagOverloadManager, Reset: sdk.ResetOverflow, Details: "overload", Unsent: true,
	}
	errStopped = &sdk.Error{
		Side: sdk.Local, Flag: sdk.FlagLocalReset, Reset: sdk.ResetLocal, Details: "proxy_stopped",
	}
)

func noCluster() *sdk.CallError {
	return &sdk.CallError{Err: errNoCluster, Details: errNoCluster.Details, Status: 503, Text: "the cluster is not known"}
}

func noHost() *sdk.CallError {
	return &sdk.CallError{Err: errNoHost, Details: errNoHost.Details, Status: 503, Text: "no healthy upstream"}
}

// cutOff is the end of a call whose answer had begun.
func cutOff(e *sdk.Error, details string) *sdk.CallError {
	return &sdk.CallError{Err: e, Details: details, Text: "the answer was cut off: " + details}
}
