// Package accesslog is what all access loggers have in common: the outputs that
// lines are written to, and the filters that decide which streams are logged.
//
// The server owns one [Outputs]. The configuration store opens an [Output] per path
// for the loggers that it compiles ([Outputs.Open], through sdk.Compiler.LogOutput).
// On a loop a line is copied into a ring that only this loop writes and only the
// output's own goroutine reads, so the request path has no lock, no system call and
// no allocation; what finds no room is dropped and counted. The goroutine writes
// every second, and sooner when a ring is half full. (Envoy flushes files every 10
// seconds or 64 KiB.)
//
// The loggers themselves are in the folders below, one each.
package accesslog
