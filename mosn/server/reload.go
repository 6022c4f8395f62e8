package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// reload reads the bootstrap and all files that resources come from again, and puts
// into force what has changed: what can be changed while running, and is right. The
// rest stays as it is; the error joins what was refused.
//
// It is called on a goroutine of run's (SIGHUP) and on admin's (/reload), one call at a
// time.
func (p *Proxy) reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	conf := p.log.For(compConfig)
	boot, err := load(p.o, p.registry)
	if err != nil {
		err = fmt.Errorf("the bootstrap stays as it was: %w", err)
		conf.Error("reloading", "error", err)
		return errors.Join(err, p.store.Reload())
	}
	for _, w := range boot.Warnings {
		conf.Warn(w)
	}
	for _, fd := range needRestart(p.boot.Load().Proto, boot.Proto) {
		conf.Warn(fmt.Sprintf("bootstrap: %s has changed, which takes a restart to have an effect", fd.Name()))
	}
	same, err := p.runtime.Adopt(boot.Runtime)
	if err != nil {
		conf.Error(err.Error())
	}
	if !same {
		conf.Warn("bootstrap: the layers of layered_runtime have changed, which takes a restart to have an effect")
	}
	r := p.store.ApplyStatic(boot.Resources())
	boot.Forget()
	keepRunning(p.boot.Load().Proto, boot.Proto)
	p.boot.Store(boot)
	for _, w := range r.Warnings {
		conf.Warn(w)
	}
	for _, f := range r.Failed {
		conf.Warn(f.Err.Error())
	}
	err = errors.Join(err, r.Err(), p.store.Reload())
	conf.Info(fmt.Sprintf("reloaded: of the static resources %d set, %d unchanged, %d removed, %d refused",
		len(r.Applied), len(r.Unchanged), len(r.Removed), len(r.Failed)))
	return err
}

// needRestart returns the fields of a bootstrap that differ and are read at the start
// only.
func needRestart(running, read proto.Message) []protoreflect.FieldDescriptor {
	var list []protoreflect.FieldDescriptor
	o, n := running.ProtoReflect(), read.ProtoReflect()
	fields := o.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch fd.Name() {
		case "static_resources", "layered_runtime":
			continue
		}
		if !sameField(o, n, fd) {
			list = append(list, fd)
		}
	}
	return list
}

// keepRunning puts what is in force in place of what takes a restart, so that dumps show
// it, and the next reload warns again.
func keepRunning(running, read proto.Message) {
	for _, fd := range needRestart(running, read) {
		if running.ProtoReflect().Has(fd) {
			read.ProtoReflect().Set(fd, running.ProtoReflect().Get(fd))
		} else {
			read.ProtoReflect().Clear(fd)
		}
	}
}

func sameField(a, b protoreflect.Message, fd protoreflect.FieldDescriptor) bool {
	return a.Has(fd) == b.Has(fd) && a.Get(fd).Equal(b.Get(fd))
}

// reloadNow is admin's /reload, which Envoy does not have.
func (a *admin) reloadNow(w http.ResponseWriter, _ *http.Request) {
	if err := a.p.reload(); err != nil {
		plainError(w, http.StatusBadRequest, "%s\n", strings.TrimSuffix(err.Error(), "\n"))
		return
	}
	ok(w)
}
