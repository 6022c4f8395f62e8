// Package script drives the real binaries by scripts: each testdata/*/*.txtar
// is one story, told in the commands of testscript (go doc
// github.com/rogpeppe/go-internal/testscript) and those in commands.go.
// Scripts run in parallel, each in its own folder and on its own ports.
package script
