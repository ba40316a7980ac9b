package main

import (
	"encoding/json"
	"unicode/utf8"

	"diskv/internal/cli"
)

// printJSON prints v, indented, with a line break.
func (a *app) printJSON(v any) error { return cli.PrintJSON(a.out, v) }

// text is bytes as JSON has them: as a string if they are one, else in base64.
type text struct {
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func textOf(b []byte) text {
	if !utf8.Valid(b) {
		return text{Base64: b}
	}
	s := string(b)
	return text{Text: &s}
}

func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return "null" // it cannot be: every string has an encoding
	}
	return string(b)
}
