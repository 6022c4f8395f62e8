// Package server is the process: command line, log, the order of starting and
// ending, signals, and the admin endpoints.
//
// Main is called by cmd/mosn on the main goroutine with the list of extensions that
// the program is built with. A Proxy owns everything that runs: the loops, the
// managers of clusters and listeners, the writers of access logs, admin. Its
// goroutines are those of its parts and admin's net/http; the main goroutine waits
// for signals and keeps time. Nothing here is on the path of a request.
//
// Two proxies may run in one process, as tests do, save what belongs to a process:
// GOMAXPROCS, GOGC and limits, which Main sets.
package server
