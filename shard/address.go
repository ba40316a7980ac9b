package shard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// CheckServers reports what is wrong with the addresses of a group's members:
// there are 1 to [MaxServers], all different.
func CheckServers(servers []string) error {
	if len(servers) == 0 || len(servers) > MaxServers {
		return fmt.Errorf("%d servers, 1 to %d are possible", len(servers), MaxServers)
	}
	for i, a := range servers {
		if err := CheckAddress(a); err != nil {
			return err
		}
		for j, b := range servers[:i] {
			if a == b {
				return fmt.Errorf("members %d and %d have the same address, %s", j, i, a)
			}
		}
	}
	return nil
}

// CheckAddress reports what is wrong with an address that others are told:
// host:port or unix:/path, of at most [MaxAddress] printable bytes.
func CheckAddress(address string) error {
	if len(address) > MaxAddress {
		return fmt.Errorf("address of %d bytes, at most %d are possible", len(address), MaxAddress)
	}
	for _, b := range []byte(address) {
		if b <= ' ' || b >= 0x7f || b == ',' { // it stands in lines and lists
			return fmt.Errorf("address %q holds the character %q", address, b)
		}
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || path == "/" {
			return fmt.Errorf("address %q has no path from the root on; write unix:/path", address)
		}
		return nil
	}
	i := strings.LastIndexByte(address, ':')
	if i <= 0 || !validHost(address[:i]) {
		return fmt.Errorf("address %q is neither host:port nor unix:/path", address)
	}
	if err := checkPort(address[i+1:]); err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return nil
}

// validHost tells whether there is a host; one with colons, IPv6, is in brackets.
func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && !strings.ContainsAny(inner, "[]/")
	}
	return !strings.ContainsAny(host, ":[]/")
}

func checkPort(port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errors.New("its port is not a number from 1 to 65535")
	}
	return nil
}
