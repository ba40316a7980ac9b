package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"diskv/client"
	"diskv/server"
)

// startNode starts a single node and returns its address.
func startNode() (addr string, stop func()) {
	dir, err := os.MkdirTemp("", "diskv")
	if err != nil {
		panic(err)
	}
	addr = "unix:" + filepath.Join(dir, "s")
	n, err := server.Open(server.Options{
		Dir: filepath.Join(dir, "data"), Listen: addr, Group: 1, Bootstrap: true, MinFreeBytes: 1,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	return addr, func() {
		cancel()
		<-done
		_ = os.RemoveAll(dir)
	}
}

func Example() {
	addr, stop := startNode()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.Open(ctx, addr) // any members of the cluster
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if err := c.Put(ctx, "greeting", []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	n, err := c.Append(ctx, "greeting", []byte(", world"))
	switch {
	case errors.Is(err, client.ErrUnknownOutcome):
		fmt.Println("appended or not, at most once:", err)
		return
	case err != nil:
		fmt.Println("not appended:", err)
		return
	}
	value, ok, err := c.Get(ctx, "greeting")
	fmt.Println(n, string(value), ok, err)
	v, err := c.Do(ctx, client.Update("INCRBY", "visits", "5"))
	fmt.Println(v.Int, err)
	// Output:
	// 12 hello, world true <nil>
	// 5 <nil>
}
