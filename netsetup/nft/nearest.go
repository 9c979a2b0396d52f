package nft

import "slices"

// nearest gives the one of words that a misspelt one most likely means, or "". It
// does not depend on their order.
func nearest(word string, words []string) string {
	best, least := "", min(len(word)/3+1, len(word)-1) // not all of it
	for _, w := range words {
		if d := distance(word, w, least); d < least || d == least && (best == "" || fitter(w, best, word)) {
			best, least = w, d
		}
	}
	return best
}

// fitter reports whether a is the better guess at word than b is: letters that
// changed places are the commonest slip.
func fitter(a, b, word string) bool {
	if x, y := letters(a) == letters(word), letters(b) == letters(word); x != y {
		return x
	}
	return a < b
}

// letters are those of a word, in order.
func letters(word string) string {
	b := []byte(word)
	slices.Sort(b)
	return string(b)
}

// maxWord is the length from which on words are not compared.
const maxWord = 64

// distance counts the letters to insert, delete or change that make b of a;
// limit+1 where there are surely more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(b) >= maxWord {
		return limit + 1
	}
	var row [maxWord]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost = min(corner, row[j], row[j+1]) + 1
			}
			corner, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
