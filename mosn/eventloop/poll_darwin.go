package eventloop

// pollReadHangUp does not exist here: a half close is noticed by reading.
const pollReadHangUp = 0

// NewKernel returns the best Kernel of this system.
func NewKernel() (Kernel, error) { return NewPoll() }
