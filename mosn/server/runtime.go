package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"sofamesh.io/sofamesh/mosn/config/filewatch"
	"sofamesh.io/sofamesh/mosn/runtime"
)

// startRuntime loads the runtime's layers, and again whenever a directory changes.
func (p *Proxy) startRuntime() error {
	p.runtime = p.boot.Load().Runtime
	p.runtime.Count(p.names)
	p.loadRuntime()
	for _, root := range p.runtime.Roots() {
		if p.watcher == nil {
			w, err := filewatch.New()
			if err != nil {
				return err
			}
			p.watcher = w
		}
		if _, err := p.watcher.Add(root, false, p.loadRuntime); err != nil {
			return fmt.Errorf("layered_runtime: %w", err)
		}
	}
	return nil
}

func (p *Proxy) loadRuntime() {
	if err := p.runtime.Load(); err != nil {
		p.log.For(compRuntime).Error(err.Error())
	}
}

// runtimeValues shows the values of all layers and those in force, as Envoy.
func (a *admin) runtimeValues(w http.ResponseWriter, _ *http.Request) {
	text, err := json.MarshalIndent(a.p.runtime.Dump(), "", " ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}

// maxModifyBytes bounds the form of /runtime_modify.
const maxModifyBytes = 1 << 20

const modifyUsage = `usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN
       or send the parameters as form values
use an empty value to remove a previously added override`

// modifyRuntime sets values of the admin layer.
func (a *admin) modifyRuntime(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxModifyBytes)
	if err := r.ParseForm(); err != nil {
		plainError(w, http.StatusBadRequest, "%v\n", err)
		return
	}
	values := r.URL.Query()
	if len(values) == 0 {
		values = r.PostForm
	}
	if len(values) == 0 {
		plainError(w, http.StatusBadRequest, "%s", modifyUsage)
		return
	}
	switch err := a.p.runtime.Modify(last(values)); {
	case errors.Is(err, runtime.ErrNoAdminLayer):
		plainError(w, http.StatusServiceUnavailable, "No admin layer specified") // Envoy's words
		return
	case err != nil:
		plainError(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	ok(w)
}

// last takes of each key the value that was said last.
func last(v url.Values) map[string]string {
	out := make(map[string]string, len(v))
	for key, values := range v {
		out[key] = values[len(values)-1]
	}
	return out
}
