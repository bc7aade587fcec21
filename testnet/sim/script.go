package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// ErrScript is wrapped by every refusal of a script.
var ErrScript = errors.New("bad script")

// String writes the schedule as a script: one line a fact, facts that are zero
// left out. Twins are written as their validator with a prime: 3'.
func (s Schedule) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("rule %s", s.Rule.Name())
	for _, n := range s.numbers() {
		if *n.at > 0 {
			line("%s %d", n.key, *n.at)
		}
	}
	if s.Tricks > 0 {
		line("tricks %s", s.Tricks)
	}
	if s.Reputation {
		line("reputation yes")
	}
	line("seed %d", s.Seed)
	for _, d := range s.durations() {
		line("%s %s", d.key, *d.at)
	}
	for v, skew := range s.Skews {
		if skew != 0 {
			line("skew %d %s", v, skew)
		}
	}
	for _, c := range s.Crashes {
		line("crash %s at %s write %d %s down %s lag %d", s.name(c.Replica), c.At, c.Nth, diskWord[c.OnDisk], c.Down, c.Lag)
	}
	for _, c := range s.Cuts {
		line("cut at %s for %s %s", c.At, c.For, s.sides(c.Sides, c.OneWay))
	}
	for _, r := range s.Rounds {
		line("round leader %d %s%s", r.Leader, s.sides(r.Sides, false), s.moves(r.Moves))
	}
	return b.String()
}

var diskWord = map[bool]string{false: "before", true: "after"}

type number struct {
	key string
	at  *int
}

func (s *Schedule) numbers() []number {
	return []number{
		{"replicas", &s.Replicas},
		{"epoch-blocks", &s.EpochBlocks},
		{"twins", &s.Twins},
		{"liars", &s.Liars},
		{"loss", &s.Loss},
		{"duplicate", &s.Duplicate},
	}
}

type duration struct {
	key string
	at  *time.Duration
}

func (s *Schedule) durations() []duration {
	return []duration{{"chaos", &s.Chaos}, {"calm", &s.Calm}, {"delay", &s.Delay}, {"view-timeout", &s.ViewTimeout}}
}

// name is how scripts call a replica.
func (s *Schedule) name(replica int) string {
	if replica < s.Replicas {
		return strconv.Itoa(replica)
	}
	return strconv.Itoa(replica-s.Twins) + "'"
}

func (s *Schedule) sides(sides []Side, oneWay bool) string {
	if len(sides) == 0 {
		return "whole"
	}
	words := make([]string, len(sides))
	for i, side := range sides {
		var names []string
		for r := range side.members {
			names = append(names, s.name(r))
		}
		words[i] = strings.Join(names, ",")
	}
	if oneWay {
		return strings.Join(words, ">")
	}
	return strings.Join(words, "|")
}

func (s *Schedule) moves(moves []Move) string {
	var b strings.Builder
	for _, m := range moves {
		fmt.Fprintf(&b, " on %d to %s", m.On, s.sides([]Side{m.To}, false))
	}
	return b.String()
}

// Parse reads a script.
func Parse(script string) (Schedule, error) {
	var s Schedule
	for i, line := range strings.Split(script, "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			if err := s.parse(fields[0], fields[1:]); err != nil {
				return Schedule{}, fmt.Errorf("%w: line %d, %q: %w", ErrScript, i+1, line, err)
			}
		}
	}
	if s.Rule == nil || s.Replicas < 1 || s.cores() > 64 || s.Twins+s.Liars > s.Replicas || len(s.Skews) > s.Replicas ||
		s.Delay <= 0 || s.ViewTimeout <= 0 {
		return Schedule{}, fmt.Errorf("%w: it needs a rule, 1 to 64 replicas that are at most all faulty, a delay and a view-timeout", ErrScript)
	}
	return s, nil
}

func (s *Schedule) parse(key string, args []string) (err error) {
	p := words{args: args, s: s}
	for _, n := range s.numbers() {
		if n.key == key {
			*n.at = p.int()
		}
	}
	for _, d := range s.durations() {
		if d.key == key {
			*d.at = p.duration()
		}
	}
	switch key {
	case "rule":
		rule, known := hotstuff.RuleNamed(p.next())
		if !known {
			return errors.New("no such rule")
		}
		s.Rule = rule
	case "tricks":
		s.Tricks, err = parseTricks(p.next())
	case "reputation":
		s.Reputation = p.next() == "yes"
	case "seed":
		s.Seed = p.uint()
	case "skew":
		v := p.replica()
		s.Skews = append(s.Skews, make([]time.Duration, max(0, v+1-len(s.Skews)))...)
		s.Skews[v] = p.duration()
	case "crash":
		s.Crashes = append(s.Crashes, Crash{
			Replica: p.replica(), At: p.after("at").duration(), Nth: p.after("write").int(),
			OnDisk: p.next() == diskWord[true], Down: p.after("down").duration(), Lag: p.after("lag").int(),
		})
	case "cut":
		c := Cut{At: p.after("at").duration(), For: p.after("for").duration()}
		c.Sides, c.OneWay = p.sides()
		s.Cuts = append(s.Cuts, c)
	case "round":
		r := Round{Leader: types.ValidatorIndex(p.after("leader").replica())}
		r.Sides, _ = p.sides()
		for len(p.args) > 0 && p.err == nil {
			m := Move{On: types.View(p.after("on").uint())}
			if to, _ := p.after("to").sides(); len(to) == 1 {
				m.To = to[0]
			}
			r.Moves = append(r.Moves, m)
		}
		s.Rounds = append(s.Rounds, r)
	}
	if p.taken == 0 {
		return errors.New("no such fact")
	}
	return errors.Join(err, p.err)
}

// words takes the words of a line apart and remembers the first that is wrong.
type words struct {
	s     *Schedule
	args  []string
	taken int
	err   error
}

func (p *words) next() string {
	p.taken++
	if len(p.args) == 0 {
		p.fail("a word is missing")
		return ""
	}
	word := p.args[0]
	p.args = p.args[1:]
	return word
}

func (p *words) fail(what string) { p.err = errors.Join(p.err, errors.New(what)) }

func (p *words) after(word string) *words {
	if p.next() != word {
		p.fail("want the word " + word)
	}
	return p
}

func (p *words) uint() uint64 {
	n, err := strconv.ParseUint(p.next(), 10, 64)
	p.err = errors.Join(p.err, err)
	return n
}

func (p *words) int() int { return int(min(p.uint(), 1<<20)) }

func (p *words) duration() time.Duration {
	d, err := time.ParseDuration(p.next())
	p.err = errors.Join(p.err, err)
	return d
}

func (p *words) replica() int { return p.number(p.next()) }

func (p *words) number(word string) int {
	digits, primed := strings.CutSuffix(word, "'")
	i, err := strconv.Atoi(digits)
	if primed {
		i += p.s.Twins
	}
	if err != nil || i < 0 || i >= p.s.cores() {
		p.fail("no such replica: " + word)
		return 0
	}
	return i
}

func (p *words) sides() (sides []Side, oneWay bool) {
	word := p.next()
	if word == "whole" {
		return nil, false
	}
	oneWay = strings.Contains(word, ">")
	for part := range strings.SplitSeq(strings.ReplaceAll(word, ">", "|"), "|") {
		var side Side
		for name := range strings.SplitSeq(part, ",") {
			if name != "" {
				side |= 1 << p.number(name)
			}
		}
		sides = append(sides, side)
	}
	if oneWay && len(sides) != 2 {
		p.fail("one way is from one side to another")
	}
	return sides, oneWay && len(sides) == 2
}
