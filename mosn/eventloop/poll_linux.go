package eventloop

import "golang.org/x/sys/unix"

// pollReadHangUp asks poll(2) for the peer's half close.
const pollReadHangUp = unix.POLLRDHUP
