package yamlfile

import "strings"

// Nearest returns the word that s was most probably meant to be, or "" where
// none is near: a third of its letters may be wrong, missing, too many or
// swapped with their neighbours.
func Nearest(s string, words []string) string {
	best, least := "", 0
	s = plain(s)
	for _, w := range words {
		n := distance(s, plain(w))
		if n <= max(1, len(w)/3) && n < len(w) && (best == "" || n < least) {
			best, least = w, n
		}
	}
	return best
}

// plain takes away what tells spellings of one name apart: fail-status and
// failStatus are fail_status.
func plain(s string) string { return strings.ToLower(separators.Replace(s)) }

var separators = strings.NewReplacer("-", "", "_", "", " ", "")

// distance is the optimal string alignment distance of a and b in bytes, or
// some number above every bound of Nearest where their lengths alone say so.
func distance(a, b string) int {
	if len(a) > 2*len(b)+2 {
		return len(a)
	}
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, row = one, row, two
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
