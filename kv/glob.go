package kv

import "math"

// Match tells whether s is of a pattern, as in KEYS and SCAN.
func Match(pattern, s []byte) bool { return match(pattern, s) }

// match tells whether s matches a pattern as Redis understands it: * is any
// bytes, ? any one, [abc] [a-z] [^a] one of a class, \ takes the next literally.
func match(pattern, s []byte) bool {
	g := glob{pattern: pattern, steps: math.MaxInt}
	return g.match(s)
}

// maxMatchSteps is what a command may spend on its pattern: some tens of milliseconds.
// Like the other limits of KEYS it is part of what every replica decides alike.
const maxMatchSteps = 50_000_000

// glob is a pattern, and how many more steps it may take to match things with it.
//
// A match takes time in proportion to the product of the lengths at worst, and usually
// to their sum: only the last * is ever tried again, since what an earlier one
// could still take, the last one can take as well.
type glob struct {
	pattern []byte
	steps   int
}

// spent tells whether there was not enough time: the last answer says nothing.
func (g *glob) spent() bool { return g.steps < 0 }

func (g *glob) match(s []byte) bool {
	pattern := g.pattern
	p, i := 0, 0
	star, from := -1, 0 // behind the last *, and where it was tried to end
	for i < len(s) && g.steps >= 0 {
		g.steps--
		if p < len(pattern) && pattern[p] == '*' {
			p++
			if p == len(pattern) {
				return true
			}
			star, from = p, i
			continue
		}
		if p < len(pattern) {
			ok, next := matchOne(pattern, p, s[i])
			g.steps -= next - p
			if ok {
				p = next
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return i == len(s) && p == len(pattern)
}

// matchOne matches one byte with what begins at p, which is not *, and returns
// where the pattern goes on.
func matchOne(pattern []byte, p int, b byte) (ok bool, next int) {
	switch c := pattern[p]; {
	case c == '?':
		return true, p + 1
	case c == '[':
		return matchClass(pattern, p+1, b)
	case c == '\\' && p+1 < len(pattern):
		return pattern[p+1] == b, p + 2
	default:
		return c == b, p + 1
	}
}

// matchClass matches b with the class whose [ is before p. One that is not closed
// ends with the pattern, as in Redis.
func matchClass(pattern []byte, p int, b byte) (ok bool, next int) {
	negated := p < len(pattern) && pattern[p] == '^'
	if negated {
		p++
	}
	found := false
	for ; p < len(pattern) && pattern[p] != ']'; p++ {
		switch {
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			found = found || pattern[p] == b
		case p+2 < len(pattern) && pattern[p+1] == '-':
			low, high := pattern[p], pattern[p+2]
			p += 2
			found = found || b >= min(low, high) && b <= max(low, high)
		default:
			found = found || pattern[p] == b
		}
	}
	return found != negated, min(p+1, len(pattern))
}
