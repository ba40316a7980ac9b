package shardmaster

// Reencode decodes a command and encodes it again.
func Reencode(b []byte) ([]byte, error) {
	c, err := decodeCommand(b)
	if err != nil {
		return nil, err
	}
	return c.encode(), nil
}
