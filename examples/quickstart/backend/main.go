// Backend is the quickstart's upstream: it answers every request with its own
// name and with what it was asked, so that one sees what the proxy made of it.
//
//	backend -listen 127.0.0.1:18081 -name one
//
// net/http calls the handler on one goroutine a connection.
package main

import (
	"flag"
	"fmt"
	"log"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:18081", "address to serve on")
	name := flag.String("name", "backend", "name to answer with")
	flag.Parse()
	server := http.Server{Addr: *listen, Handler: echo(*name), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// echo answers with the request's line and headers, sorted.
func echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "I am %s. I was asked:\n\n  %s %s %s\n  host: %s\n", name, r.Method, r.URL.RequestURI(), r.Proto, r.Host)
		for _, key := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(w, "  %s: %s\n", strings.ToLower(key), strings.Join(r.Header[key], ", "))
		}
	}
}
