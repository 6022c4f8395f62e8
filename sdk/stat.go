package sdk

// Counter is the handle of a number that only grows. Like Gauge and Histogram it
// is resolved when the configuration is compiled; using it on a loop is one store
// to that loop's own slot. The zero value counts nothing that anybody sees.
type Counter struct{ ID uint32 }

// Gauge is the handle of a number that goes up and down; the loops' slots are
// summed, so each loop adds and subtracts its own share.
type Gauge struct{ ID uint32 }

// Histogram is the handle of a distribution.
type Histogram struct{ ID uint32 }

// Scope makes handles under a prefix with Envoy's stat names. It is used while
// configuration is compiled, and on a loop only for a name that nobody could know
// before (it takes a lock). Asking twice for a name gives the same handle.
type Scope interface {
	Counter(name string) Counter
	Gauge(name string) Gauge
	// Histogram takes values in the unit of its name (Envoy: milliseconds unless the
	// name says otherwise).
	Histogram(name string) Histogram
	// Scope returns the scope prefix.name.
	Scope(name string) Scope
}
