package filewatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bell chan struct{}

func (b bell) ring() { b <- struct{}{} }

func (b bell) heard(t *testing.T) {
	t.Helper()
	select {
	case <-b:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told")
	}
}

func (b bell) silent(t *testing.T) {
	t.Helper()
	select {
	case <-b:
		t.Fatal("told without a reason")
	default:
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *Watcher {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func add(t *testing.T, w *Watcher, path string, modify bool) (b bell, remove func()) {
	t.Helper()
	b = make(bell, 100)
	remove, err := w.Add(path, modify, b.ring)
	if err != nil {
		t.Fatal(err)
	}
	return b, remove
}

// TestMovedTo: a file that was moved to the name tells those who watch it or its
// directory; one that was written in place only those who asked for that.
func TestMovedTo(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, path, "1")
	w := open(t)
	file, _ := add(t, w, path, false)
	all, _ := add(t, w, dir+"/", false)
	strange, _ := add(t, w, other, false)
	eager, _ := add(t, w, path, true)
	write(t, path, "2")
	eager.heard(t)
	file.silent(t)
	all.silent(t)
	write(t, path+".new", "3")
	move(t, path+".new", path)
	for _, b := range []bell{file, all, eager} {
		b.heard(t)
	}
	strange.silent(t)
}

// TestLink: Kubernetes turns the link ..data; the file's own directory sees nothing.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("v1", "..data")
	w := open(t)
	b, _ := add(t, w, dir+"/", false)
	link("v2", "..tmp")
	move(t, filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data"))
	b.heard(t)
}

// TestTwoNames: a directory has one number, by whatever path it was reached (/run and
// /var/run): what happens there is told to all who watch it.
func TestTwoNames(t *testing.T) {
	root := t.TempDir()
	dir, link := filepath.Join(root, "run"), filepath.Join(root, "link")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	replace := func(name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		write(t, path+".new", "1")
		move(t, path+".new", path)
	}
	w := open(t)
	eager, _ := add(t, w, filepath.Join(dir, "written"), true)
	one, remove := add(t, w, filepath.Join(dir, "a"), false)
	two, _ := add(t, w, filepath.Join(link, "a"), false)
	replace("a")
	one.heard(t)
	two.heard(t)
	write(t, filepath.Join(dir, "written"), "1")
	eager.heard(t)
	_, other := add(t, w, filepath.Join(link, "b"), false)
	remove()
	other()
	replace("a")
	two.heard(t)
	one.silent(t)
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	w := open(t)
	b, remove := add(t, w, path, false)
	stays, _ := add(t, w, path, false)
	remove()
	write(t, path+".new", "1")
	move(t, path+".new", path)
	stays.heard(t)
	b.silent(t)
	if _, err := w.Add(filepath.Join(dir, "no/such"), false, b.ring); err == nil {
		t.Error("a directory that is not there can be watched")
	}
	if len(w.dirs) != 1 {
		t.Errorf("%d directories are kept", len(w.dirs))
	}
}
