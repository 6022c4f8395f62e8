package sdk

// Extensions are what one module adds to a proxy. The package that "mosn build --with"
// names exports a function that returns them:
//
//	func Extensions() sdk.Extensions {
//		return sdk.Extensions{HTTPFilters: []*sdk.HTTPFilter{Filter()}}
//	}
type Extensions struct {
	Codecs      []*Codec
	HTTPFilters []*HTTPFilter
	AccessLogs  []AccessLog
	Tracers     []Tracer
	StatsSinks  []StatsSink
	Bootstrap   []BootstrapExtension
	// Fields declares messages that belong to no single extension.
	Fields []FieldStatus
}
