package golden

import (
	"fmt"
	"strconv"
	"strings"
)

// Script is a named list of steps that are executed one after the other. Files hold
// scripts as text, in which a reply is behind its line, indented:
//
//	== set and get
//	SET k v
//		+OK
//	GET k
//		$1|v
//
// A line may begin with a mark of one character and a space, which says how the reply
// is compared: ~ it depends on the time, ? the order of its elements is no matter.
type Script struct {
	Name  string
	Steps []Step
}

// Step is a line of a script.
type Step struct {
	Mark  byte // 0: none
	Line  string
	Reply string // as it is written in the file
}

// ParseScripts reads scripts. It panics on what is none: the text is part of a test.
func ParseScripts(text string) []Script {
	var all []Script
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		name, begins := strings.CutPrefix(line, "== ")
		reply, replies := strings.CutPrefix(line, "\t")
		switch {
		case line == "":
		case begins:
			all = append(all, Script{Name: name})
		case len(all) == 0:
			panic(fmt.Sprintf("%q is in front of the first script", line))
		case replies:
			steps := all[len(all)-1].Steps
			steps[len(steps)-1].Reply = reply
		default:
			s := &all[len(all)-1]
			step := Step{Line: line}
			if strings.HasPrefix(line, "~ ") || strings.HasPrefix(line, "? ") {
				step = Step{Mark: line[0], Line: line[2:]}
			}
			s.Steps = append(s.Steps, step)
		}
	}
	return all
}

// FormatScripts is the inverse of [ParseScripts].
func FormatScripts(all []Script) string {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "== %s\n", s.Name)
		for _, step := range s.Steps {
			if step.Mark != 0 {
				fmt.Fprintf(&b, "%c ", step.Mark)
			}
			fmt.Fprintf(&b, "%s\n\t%s\n", step.Line, step.Reply)
		}
	}
	return b.String()
}

// OneLine writes a reply in the protocol's bytes in one line: | for a line break, none
// at the end, and what cannot be printed escaped.
func OneLine(reply string) string {
	s := strings.ReplaceAll(strings.TrimSuffix(reply, "\r\n"), "\r\n", "|")
	s = strconv.QuoteToASCII(s)
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
}
