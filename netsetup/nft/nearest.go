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

// distance counts the letters to insert, delete, change or swap with the next
// one that make b of a; limit+1 where there are surely more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) >= maxWord || len(b) >= maxWord {
		return limit + 1
	}
	var before, last, row [maxWord]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last = last, row
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
