package server

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release that this tree leads to.
const version = "0.1.0-dev"

// origin describes the program.
type origin struct{ commit, state string }

func buildOf() origin {
	b := origin{commit: "unknown", state: "Clean"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			b.state = "Modified"
		}
	}
	return b
}

// versionString has the form of Envoy's: commit/version/state/kind/TLS library.
func versionString() string {
	b := buildOf()
	return fmt.Sprintf("%s/%s/%s/RELEASE/%s", b.commit, version, b.state, runtime.Version())
}

// Version is what --version prints.
func Version() string { return "mosn  version: " + versionString() }
