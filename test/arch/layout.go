package arch

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const whyLayout = "the folder tree is the map of the system: a new folder is a decision, so it is named in test/arch and in ARCHITECTURE.md"

// folders are the folders that may stand at the top and directly below mosn.
func folders() map[string][]string {
	return map[string][]string{
		".": {"api", "cmd", "docs", "examples", "meshctl", "mosn", "pilot", "registry", "scripts", "sdk", "test", "tools",
			"bin", "out"}, // the last two are the build's and ignored by git
		"cmd": {"meshctl", "mosn", "sofapilot"},
		"mosn": {"accesslog", "agent", "build", "builtin", "callout", "cluster", "config", "edit", "eventloop", "fields", "filter", "format", "idtable", "listener",
			"match", "metadata", "network", "protocol", "report", "route", "runtime", "secret", "server", "service", "shared", "stats", "stream", "trace",
			"transport", "xds"},
		"test": {"arch", "bench", "interop", "reference", "script", "sim", "skipcheck", "tutorial"},
	}
}

// CheckLayout refuses folders that the design does not name. Hidden ones are
// free.
func CheckLayout(root string) ([]Finding, error) {
	var found []Finding
	for parent, known := range folders() {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(known, e.Name()) {
				found = append(found, Finding{filepath.ToSlash(filepath.Join(parent, e.Name())), "unknown folder", whyLayout})
			}
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Where, b.Where) })
	return found, nil
}

// CheckMap demands that the document names each folder that stands at the top
// or directly below mosn and test.
func CheckMap(root, document string) ([]Finding, error) {
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, parent := range []string{".", "mosn", "test"} {
		for _, name := range folders()[parent] {
			folder := filepath.Join(parent, name)
			info, err := os.Stat(filepath.Join(root, folder))
			named := strings.Contains(string(text), "`"+filepath.ToSlash(folder)+"/") || strings.Contains(string(text), "`"+name+"/`")
			if err == nil && info.IsDir() && !named && name != "bin" && name != "out" {
				found = append(found, Finding{filepath.ToSlash(folder), "is not in " + document, whyLayout})
			}
		}
	}
	return found, nil
}

// untagged are the modules that never have releases, each with why we need it.
func untagged() map[string]string {
	return map[string]string{
		"github.com/cncf/xds/go":                    "the messages of xDS that Envoy's API is made of; the version is the one that go-control-plane takes",
		"mosn.io/pkg":                               "the interface by which mosn.io/holmes logs",
		"google.golang.org/genproto/googleapis/api": "the parsed form of CEL expressions in Envoy's API",
		"google.golang.org/genproto/googleapis/rpc": "google.rpc.Status in Envoy's API",
	}
}

// CheckGoMod refuses what makes a build differ from what go.mod seems to say:
// replace and exclude lines, and direct requirements of untagged commits.
func CheckGoMod(file string) ([]Finding, error) {
	out, err := exec.Command("go", "mod", "edit", "-json", file).Output()
	if err != nil {
		return nil, fmt.Errorf("go mod edit -json %s: %w", file, err)
	}
	var mod struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
		Replace, Exclude []json.RawMessage
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, err
	}
	var found []Finding
	if len(mod.Replace) > 0 {
		found = append(found, Finding{file, "replace", "a replaced module is not what its users get, and is never patched in secret"})
	}
	if len(mod.Exclude) > 0 {
		found = append(found, Finding{file, "exclude", "a version is chosen by naming it"})
	}
	pseudo := regexp.MustCompile(`-(0\.)?\d{14}-[0-9a-f]{12}(\+incompatible)?$`)
	for _, r := range mod.Require {
		if !r.Indirect && untagged()[r.Path] == "" && pseudo.MatchString(r.Version) {
			found = append(found, Finding{file, r.Path + " " + r.Version + " is an untagged commit", "what we depend on by choice is a release that its authors support"})
		}
	}
	return found, nil
}
