// Package main is laid over mosn's own for one measurement (go build -overlay): the same proxy with one goroutine that never stops
// computing and never calls anything, the worst neighbour an extension can be. Nothing of this is in a build without the overlay.
package main

func init() {
	go func() {
		for n := uint64(1); ; n = n*6364136223846793005 + 1442695040888963407 {
			if n == 0 {
				println("the generator has come round")
			}
		}
	}()
}
