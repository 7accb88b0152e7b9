package world

import (
	"math/rand/v2"
	"strings"
)

// dice is a source of chance that gives the same throws for the same seed.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

// of picks one.
func of[T any](d dice, list []T) T { return list[d.IntN(len(list))] }

// chance is true with a probability in percent.
func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

// spin writes a template: [a|b|c] becomes one of its parts, which may hold further brackets, and
// {name} becomes vars[name].
func (d dice) spin(text string, vars map[string]string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '[':
			end := closing(text, i)
			b.WriteString(d.spin(of(d, options(text[i+1:end])), vars))
			i = end
		case '{':
			end := strings.IndexByte(text[i:], '}')
			b.WriteString(vars[text[i+1:i+end]])
			i += end
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// closing is the index of the bracket that closes the one at open.
func closing(text string, open int) int {
	depth := 0
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("world: bracket not closed in " + text)
}

func options(text string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '[':
			depth++
		case ']':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, text[from:i])
				from = i + 1
			}
		}
	}
	return append(out, text[from:])
}
