package resp

// splitInline splits a line into arguments, with the quoting of redis-cli:
// spaces separate, "..." knows \n \r \t \b \a \xHH and \ before any other byte,
// '...' knows \' only. It returns false for a quote that is not closed or is
// followed by something other than a space. The result does not alias line.
func splitInline(line []byte) ([][]byte, bool) {
	s := splitter{in: line, arena: make([]byte, 0, len(line))}
	var args [][]byte
	for s.skipSpaces() {
		start := len(s.arena)
		if !s.argument() {
			return nil, false
		}
		args = append(args, s.arena[start:len(s.arena):len(s.arena)])
	}
	return args, true
}

type splitter struct {
	in    []byte
	i     int
	arena []byte // as large as in: an argument is never longer than its spelling
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// skipSpaces goes to the next argument and tells whether there is one.
func (s *splitter) skipSpaces() bool {
	for s.i < len(s.in) && isSpace(s.in[s.i]) {
		s.i++
	}
	return s.i < len(s.in)
}

// atBoundary tells whether an argument may end here.
func (s *splitter) atBoundary() bool { return s.i == len(s.in) || isSpace(s.in[s.i]) }

// argument appends one argument to the arena. It returns false if its quotes are
// wrong.
func (s *splitter) argument() bool {
	for !s.atBoundary() {
		c := s.in[s.i]
		s.i++
		switch c {
		case '"':
			if !s.doubleQuoted() {
				return false
			}
			return s.atBoundary()
		case '\'':
			if !s.singleQuoted() {
				return false
			}
			return s.atBoundary()
		default:
			s.arena = append(s.arena, c)
		}
	}
	return true
}

// doubleQuoted appends up to the closing quote and goes behind it.
func (s *splitter) doubleQuoted() bool {
	for s.i < len(s.in) {
		c := s.in[s.i]
		s.i++
		switch {
		case c == '"':
			return true
		case c == '\\' && s.i < len(s.in):
			s.escape()
		default:
			s.arena = append(s.arena, c)
		}
	}
	return false
}

// escape appends what the escape means whose backslash was just read.
func (s *splitter) escape() {
	c := s.in[s.i]
	s.i++
	switch c {
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'b':
		c = '\b'
	case 'a':
		c = '\a'
	case 'x':
		if s.i+1 < len(s.in) {
			high, ok1 := hexDigit(s.in[s.i])
			low, ok2 := hexDigit(s.in[s.i+1])
			if ok1 && ok2 {
				c = high<<4 | low
				s.i += 2
			}
		}
	}
	s.arena = append(s.arena, c)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// singleQuoted appends up to the closing quote and goes behind it.
func (s *splitter) singleQuoted() bool {
	for s.i < len(s.in) {
		c := s.in[s.i]
		s.i++
		switch {
		case c == '\'':
			return true
		case c == '\\' && s.i < len(s.in) && s.in[s.i] == '\'':
			s.i++
			s.arena = append(s.arena, '\'')
		default:
			s.arena = append(s.arena, c)
		}
	}
	return false
}
