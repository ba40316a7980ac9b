package inspect

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"diskv/kv"
	"diskv/shard"
	"diskv/shardmaster"
)

// Command is one command of a batch in words.
type Command struct {
	// Name is that of a client's command, in capitals; of one of the hand-over
	// HANDOVER, of a shardmaster's DISKV.SHARDS.
	Name string `json:"name"`
	// Args are the arguments behind the name, shortened.
	Args []Text `json:"args,omitempty"`
	// Watched and Commands are those of a transaction, which has no Args.
	Watched  []Watched `json:"watched,omitempty"`
	Commands []Command `json:"commands,omitempty"`
	// Session and Seq make it an operation that is executed once.
	Session string `json:"session,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	// Bytes is the length of its encoding.
	Bytes int `json:"bytes"`
	// Problem says why it does not decode.
	Problem string `json:"problem,omitempty"`

	keys    [][]byte
	session kv.SessionID
}

// Watched is a key that a transaction depends on, and since when.
type Watched struct {
	Key   Text   `json:"key"`
	Since string `json:"since"` // token: group-slot
}

// Text is bytes as people and JSON can have them.
type Text struct {
	bytes []byte // as many as are shown
	total int
}

// MarshalJSON gives {text} or {base64}, with {bytes}, how many there are, if that is
// not all of them.
func (t Text) MarshalJSON() ([]byte, error) {
	var out struct {
		Text   *string `json:"text,omitempty"`
		Base64 []byte  `json:"base64,omitempty"`
		Bytes  int     `json:"bytes,omitempty"`
	}
	if s := string(t.bytes); utf8.ValidString(s) {
		out.Text = &s
	} else {
		out.Base64 = t.bytes
	}
	if t.total > len(t.bytes) {
		out.Bytes = t.total
	}
	return json.Marshal(out)
}

// String quotes what could be mistaken, and says how long it is if it is cut.
func (t Text) String() string {
	s := string(t.bytes)
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == ' ' || r == '"' }) {
		s = strconv.Quote(s)
	}
	if t.total > len(t.bytes) {
		s += fmt.Sprintf("...(%d bytes)", t.total)
	}
	return s
}

// text shortens bytes to what is shown. It cuts no character in two.
func (d *describer) text(b []byte) Text {
	n := len(b)
	if d.show >= 0 && n > d.show {
		for n = d.show; n > 0 && n > d.show-utf8.UTFMax && !utf8.RuneStart(b[n]); n-- {
		}
	}
	return Text{bytes: b[:n], total: len(b)}
}

func textOf(s string) Text { return Text{bytes: []byte(s), total: len(s)} }

// command describes a command.
func (d *describer) command(encoded []byte) Command {
	c := Command{Bytes: len(encoded)}
	if kv.IsHandover(encoded) {
		c.Name = "HANDOVER"
		h, err := kv.ReadHandover(encoded)
		if err != nil {
			c.Problem = err.Error()
			return c
		}
		for _, w := range handoverWords(&h) {
			c.Args = append(c.Args, textOf(w))
		}
		return c
	}
	cmd, err := kv.DecodeCommand(encoded)
	if err != nil {
		// Nothing of a shardmaster's passes for a client's command.
		if words, own := shardmaster.Words(encoded); own == nil {
			c.Name = "DISKV.SHARDS"
			for _, w := range words {
				c.Args = append(c.Args, textOf(w))
			}
			return c
		}
		c.Name, c.Problem = "?", err.Error()
		return c
	}
	d.name(&c, cmd.Args)
	if cmd.Session.IsValid() {
		c.Session, c.Seq, c.session = cmd.Session.String(), cmd.Seq, cmd.Session
	}
	if spec, ok := kv.Find(cmd.Args); ok {
		c.keys = spec.Keys(cmd.Args)
	}
	return c
}

// name puts the arguments of a client's command into words.
func (d *describer) name(c *Command, args [][]byte) {
	c.Name = strings.ToUpper(string(d.text(args[0]).bytes))
	watched, commands, ok := kv.ReadTransaction(args)
	if !ok {
		for _, a := range args[1:] {
			c.Args = append(c.Args, d.text(a))
		}
		return
	}
	for _, w := range watched {
		c.Watched = append(c.Watched, Watched{Key: d.text(w.Key), Since: string(w.Token)})
	}
	for _, command := range commands {
		part := Command{}
		d.name(&part, command)
		c.Commands = append(c.Commands, part)
	}
}

// handoverWords says what a command of the hand-over does.
func handoverWords(h *kv.HandoverCommand) []string {
	switch {
	case h.Taken != nil:
		words := []string{"take", "config", strconv.FormatUint(h.Config, 10)}
		for _, g := range h.Taken.Groups {
			words = append(words, fmt.Sprintf("group=%d:%d", g.ID, h.Taken.Held(g.ID)))
		}
		if h.Previous != nil {
			words = append(words, "after", strconv.FormatUint(h.Previous.Num, 10))
		}
		return words
	case h.Chunk != nil:
		words := []string{h.Name, "config", strconv.FormatUint(h.Config, 10), "from", groupName(h.Group), fmt.Sprintf("%d-bytes", h.ChunkBytes)}
		if len(h.Chunk.Start) == 0 {
			words = append(words, "first")
		}
		if h.Chunk.Last {
			words = append(words, "last")
		}
		return words
	case h.Name == "freeze":
		return []string{h.Name, "config", strconv.FormatUint(h.Config, 10), "group", groupName(h.Group),
			"batch", strconv.FormatUint(uint64(h.Batch), 10), fmt.Sprintf("%d-bytes", h.BatchBytes)}
	case h.Config != 0:
		return []string{h.Name, "config", strconv.FormatUint(h.Config, 10), "group", groupName(h.Group)}
	}
	return strings.Fields(h.Name)
}

func groupName(id shard.GroupID) string { return strconv.FormatUint(uint64(id), 10) }
