package crashreplay

import "time"

// around has a condition between the members and all others, in both directions or one,
// for as long as the fault lasts.
func (s *suffering) around(out, in bool, c Condition) error {
	if err := s.network(out, in, c); err != nil {
		return err
	}
	err := s.wait(s.Lasts)
	if fault := s.network(true, true, Condition{}); err == nil {
		err = fault
	}
	if err != nil {
		return err
	}
	return s.whole()
}

// network sets a condition between the members and all others.
func (s *suffering) network(out, in bool, c Condition) error {
	if s.kernel != nil {
		return s.kernel.around(s.Members, s.o.Members, out, in, c)
	}
	s.net.Around(s.Members, out, in, c)
	return nil
}

// partition lets nothing pass. What was on its way arrives when it is over.
func (s *suffering) partition() error {
	s.told("cut off for %v", s.Lasts)
	return s.around(true, true, Condition{Cut: true})
}

// oneWay cuts what the members say, or what they hear.
func (s *suffering) oneWay() error {
	out := s.chance.IntN(2) == 0
	if out {
		s.told("not heard for %v", s.Lasts)
	} else {
		s.told("hears nothing for %v", s.Lasts)
	}
	return s.around(out, !out, Condition{Cut: true})
}

func (s *suffering) delay() error {
	late := time.Duration(50+s.chance.IntN(450)) * time.Millisecond
	s.told("messages are up to %v late for %v", late, s.Lasts)
	return s.around(true, true, Condition{Late: late})
}

func (s *suffering) disorder() error {
	c := Condition{
		Late: time.Duration(5+s.chance.IntN(195)) * time.Millisecond, Disorder: true,
		Lost: 0.02 + 0.2*s.chance.Float64(), Doubled: 0.2 * s.chance.Float64(),
	}
	s.told("%.0f%% of messages lost, %.0f%% doubled, all up to %v late in any order for %v", 100*c.Lost, 100*c.Doubled, c.Late, s.Lasts)
	return s.around(true, true, c)
}

// flapEvery is how long connections are there, and not.
const flapEvery = 100 * time.Millisecond

func (s *suffering) flap() error {
	s.told("connections break and come back every %v for %v", flapEvery, s.Lasts)
	for end := time.Now().Add(s.Lasts); time.Now().Before(end); {
		for _, c := range []Condition{{Refused: true}, {}} {
			if err := s.network(true, true, c); err != nil {
				return err
			}
			if err := s.wait(flapEvery); err != nil {
				return err
			}
		}
	}
	return s.whole()
}

func (s *suffering) disconnect() error {
	s.told("connections reset and refused for %v", s.Lasts)
	return s.around(true, true, Condition{Refused: true})
}
