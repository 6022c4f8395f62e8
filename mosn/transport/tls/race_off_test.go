//go:build !race

package tls

const raceOn = false
