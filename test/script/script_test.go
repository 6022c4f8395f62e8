package script

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"sofamesh.io/sofamesh/test/interop/peers"
)

// TestTools tries the commands themselves.
func TestTools(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/tools", Cmds: commands(), RequireExplicitExec: true})
}

// TestMosn runs the scripts about mosn against $MOSN_BIN, or a build of
// cmd/mosn.
func TestMosn(t *testing.T) {
	binary, err := peers.MosnBinary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	binary, err = filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	// The scripts' PATH leads with a folder in which it is called mosn.
	dir := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "mosn")); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/mosn",
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", dir+string(os.PathListSeparator)+env.Getenv("PATH"))
			return nil
		},
	})
}
