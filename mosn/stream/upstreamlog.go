package stream

import (
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/sdk"
)

// UpstreamLog is the router's own log (upstream_log), which has an entry for each
// attempt: immutable and shared by all loops.
type UpstreamLog struct {
	Log sdk.AccessLogger
	// Start has it also written when an attempt has its connection, Interval each time
	// that is over.
	Start    bool
	Interval time.Duration
}

// tryLog is what the router's log tells of the attempt under way. Streams get it from
// their worker and give it back, so that a logged attempt costs no new memory.
type tryLog struct {
	link *tryLog // the next one in w.tryLogs

	info               sdk.StreamInfo
	response, trailers sdk.Headers // as they came from the host
	on                 bool        // an attempt is under way
}

func (w *Worker) newTryLog() *tryLog {
	l := w.tryLogs
	if l == nil {
		return &tryLog{}
	}
	w.tryLogs, l.link = l.link, nil
	return l
}

func (w *Worker) releaseTryLog(l *tryLog) {
	l.forget()
	l.link, w.tryLogs = w.tryLogs, l
}

// forget makes l fit for another attempt.
func (l *tryLog) forget() {
	l.on = false
	l.info.Reset()
	l.response.Reset()
	l.trailers.Reset()
}

// logTry notes an attempt that is to be logged.
func (u *upstream) logTry() {
	s := u.s
	cfg := s.router.UpstreamLog
	if cfg == nil {
		return
	}
	if u.log == nil {
		u.log = s.w.newTryLog()
	}
	l, now := u.log, int64(s.w.now())
	l.forget()
	l.on = true
	l.info.Start, l.info.StartTime = now, s.wallOf(now)
	u.sent, u.received = 0, 0
	s.setDeadline(dlTryLog, cfg.Interval)
}

// logReady notes that the attempt has a connection.
func (u *upstream) logReady(c *cluster.Call) {
	l := u.log
	if l == nil || !l.on {
		return
	}
	i, of := &l.info, &u.s.info
	i.Protocol, i.Codec = protocolOf(c.Codec())
	i.UpstreamProtocol, i.UpstreamLocal, i.UpstreamConnectionID = of.UpstreamProtocol, of.UpstreamLocal, of.UpstreamConnectionID
	i.UpstreamAttempt, i.UpstreamReady = of.UpstreamAttempt, of.UpstreamReady
	i.UpstreamConnect, i.UpstreamConnected = of.UpstreamConnect, of.UpstreamConnected
	i.Tried = append(i.Tried, of.Tried[len(of.Tried)-1])
	if u.s.router.UpstreamLog.Start {
		u.writeTryLog(sdk.LogUpstreamPoolReady)
	}
}

// protocolOf is what an attempt speaks, as %PROTOCOL% is to print it.
func protocolOf(c *sdk.Codec) (sdk.Protocol, *sdk.Codec) {
	switch {
	case c == nil:
		return sdk.ProtocolUnknown, nil
	case c.RPC:
		return sdk.RPC, c
	case c.Name == "http2":
		return sdk.HTTP2, c
	}
	return sdk.HTTP11, c
}

// logPeriod writes the log while the attempt goes on.
func (u *upstream) logPeriod() {
	if l := u.log; l != nil && l.on {
		u.s.setDeadline(dlTryLog, u.s.router.UpstreamLog.Interval)
		u.writeTryLog(sdk.LogUpstreamPeriodic)
	}
}

// logHead and logTrailers keep what the host has answered: filters are going to change it.
func (u *upstream) logHead(h *sdk.Headers) {
	if l := u.log; l != nil && l.on {
		l.info.ResponseCode = h.Status()
		l.info.UpstreamResponse = int64(u.s.w.now())
		l.response.CopyFrom(h)
	}
}

func (u *upstream) logTrailers(h *sdk.Headers) {
	if l := u.log; l != nil && l.on {
		l.trailers.CopyFrom(h)
	}
}

// logEnd writes the log of the attempt that is over, if there is one.
func (u *upstream) logEnd(flags sdk.ResponseFlag) {
	l := u.log
	if l == nil || !l.on {
		return
	}
	u.s.deadlines[dlTryLog] = 0
	l.info.Flags = flags
	u.writeTryLog(sdk.LogUpstreamEnd)
	l.on = false
}

// writeTryLog writes an entry. As in Envoy an attempt has an information of its own,
// which shares with the request's what tells of connections, route and cluster.
func (u *upstream) writeTryLog(why sdk.LogType) {
	s, i := u.s, &u.log.info
	of := &s.info
	i.LogType, i.Logged = why, int64(s.w.now())
	i.BytesSent, i.BytesReceived = u.sent, u.received
	i.UpstreamWire = sdk.Wire{Received: u.call.BytesReceived(), Sent: u.call.BytesSent()}
	i.FailureReason = u.reason
	i.HealthCheck = of.HealthCheck

	i.ConnectionID, i.ListenerName, i.FilterChainName = of.ConnectionID, of.ListenerName, of.FilterChainName
	i.DownstreamRemote, i.DownstreamDirectRemote = of.DownstreamDirectRemote, of.DownstreamDirectRemote
	i.DownstreamLocal, i.DownstreamLocalPath = of.DownstreamLocal, of.DownstreamLocalPath
	i.RouteName, i.RouteMetadata = of.RouteName, of.RouteMetadata
	i.VirtualHostName, i.ListenerMetadata = of.VirtualHostName, of.ListenerMetadata
	i.ClusterName, i.ClusterStatName, i.ClusterMetadata = of.ClusterName, of.ClusterStatName, of.ClusterMetadata
	i.UpstreamHost, i.UpstreamHostname, i.HostMetadata = of.UpstreamHost, of.UpstreamHostname, of.HostMetadata
	s.router.UpstreamLog.Log.Log(s.w.loop.Index(), i, &s.req.Headers, &u.log.response, &u.log.trailers)
}
