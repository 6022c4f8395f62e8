// Package sdktest holds what the tests of code written against sdk need: a Host that
// runs one filter in memory, a Compiler without a store, and a stats scope that
// remembers names.
//
// It owns nothing beyond the values it hands out. Everything is used by the
// goroutine of one test; Scope alone may be shared.
package sdktest
