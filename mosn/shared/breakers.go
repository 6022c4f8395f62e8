package shared

// Breakers are the circuit breakers of one cluster for one routing priority
// (envoy.config.cluster.v3.CircuitBreakers.Thresholds).
//
// Requests changes with every request and has a cache line to itself; the others
// change now and then. A process may have 10k clusters, so the padding is no more
// than that.
type Breakers struct {
	Connections Resource
	Pending     Resource
	Retries     Resource

	budget         bool
	budgetFraction float64
	budgetMin      int64

	_        [line]byte
	Requests Resource
	_        [line - 16]byte
}

// SetBudget makes the limit of retries a share of what is active instead of a
// constant: fraction (0.2 is 20%) of the active and pending requests, but at least
// min. It must be called before the Breakers are shared.
func (b *Breakers) SetBudget(fraction float64, min int64) {
	b.budget, b.budgetFraction, b.budgetMin = true, fraction, min
}

// MaxRetries returns how many retries may be under way now.
func (b *Breakers) MaxRetries() int64 {
	if !b.budget {
		return b.Retries.Max()
	}
	active := b.Requests.Used() + b.Pending.Used()
	return max(int64(b.budgetFraction*float64(active)), b.budgetMin)
}

// TryRetry takes one retry, unless the limit is reached. Retries.Release gives it
// back.
func (b *Breakers) TryRetry() bool { return b.Retries.TryAcquireBelow(b.MaxRetries()) }

// Host are the numbers of one upstream host, named in the admin's /clusters as the
// comments say. ActiveRequests is read by load balancers on all loops, so what else
// changes stays off its cache line.
type Host struct {
	ActiveRequests     Count // rq_active
	ActiveConnections  Total // cx_active
	Connections        Total // cx_total
	ConnectionFailures Total // cx_connect_fail
	Requests           Total // rq_total
	Errors             Total // rq_error
	Successes          Total // rq_success
	Timeouts           Total // rq_timeout
	Pending            Total // rq_pending_active
}
