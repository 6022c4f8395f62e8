package config

import (
	"fmt"
	"iter"
)

// longestGuess bounds the names that are compared: nothing of Envoy's is longer.
const longestGuess = 200

// didYouMean returns " (did you mean x?)" with the known name that is nearest to a
// misspelt one, "" when none is near. Only errors pay for it.
func didYouMean(name string, known iter.Seq[string]) string {
	if len(name) > longestGuess {
		return ""
	}
	best, least := "", len(name)/5+2
	for k := range known {
		if d := distance(name, k, least); d < least || d == least && best != "" && k < best {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance counts the bytes to insert, drop or replace that turn a into b; what is
// over limit is limit+1.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal, least := row[0], i+1
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
			least = min(least, row[j+1])
		}
		if least > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
