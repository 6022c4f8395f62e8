// Package stream is the life of a request: the connection manager that turns the
// events of a downstream codec into streams, the filter chain, the route's
// action, attempts and retries upstream, mirrors, timeouts, local replies, and the
// access log at the end. It knows no protocol: codecs come as sdk.Codec, and every
// request is shaped like an HTTP request.
//
// Everything here runs on event loops. A Worker is one loop's share: it owns the
// connections and streams of that loop, and nothing of it is touched from
// elsewhere. A Config is one compiled connection manager, immutable and shared.
//
// A Stream ends in one place (end), is logged there, and is put back for reuse only
// when the outermost callback has returned and every Async of it has ended, so that
// no code can hold a stream that has become somebody else's.
package stream
