package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/status"
)

// etcdStore is a cluster of etcd, asked through its official client. All clients ask
// the leader, which saves a follower's passing the request on, and share one connection,
// which is what serves etcd best where processors are few: the more requests share one,
// the fewer writes and reads of sockets there are. It is also how a process that uses the
// client asks.
type etcdStore struct {
	timeout time.Duration
	conns   []*clientv3.Client
}

func openEtcd(ctx context.Context, o Options) (*etcdStore, error) {
	leader, err := etcdLeader(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("find who leads: %w", err)
	}
	s := &etcdStore{timeout: o.Timeout}
	for range max(1, o.Conns) {
		c, err := dialEtcd(o, leader)
		if err != nil {
			s.close()
			return nil, err
		}
		s.conns = append(s.conns, c)
	}
	return s, nil
}

func dialEtcd(o Options, addrs ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: addrs, DialTimeout: o.Timeout, Logger: zap.NewNop()})
}

// etcdLeader returns the address of the member that leads.
func etcdLeader(ctx context.Context, o Options) (string, error) {
	c, err := dialEtcd(o, o.Addrs...)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	for range 20 {
		for _, addr := range o.Addrs {
			var st *clientv3.StatusResponse
			within, cancel := context.WithTimeout(ctx, o.Timeout)
			st, err = c.Status(within, addr)
			cancel()
			if err == nil && st.Leader == st.Header.MemberId {
				return addr, nil
			}
		}
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
	if err == nil {
		err = fmt.Errorf("none of %v says that it does", o.Addrs)
	}
	return "", err
}

func (s *etcdStore) connect(_ context.Context, i int) (asker, error) {
	return &etcdAsker{timeout: s.timeout, kv: s.conns[i%len(s.conns)]}, nil
}

func (s *etcdStore) close() {
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// etcdAsker is a client on a connection that it shares.
type etcdAsker struct {
	timeout time.Duration
	kv      clientv3.KV
}

func (a *etcdAsker) ask(ctx context.Context, rs []request, as []answer) error {
	for i, r := range rs {
		within, cancel := context.WithTimeout(ctx, a.timeout)
		var err error
		if r.read {
			var got *clientv3.GetResponse
			got, err = a.kv.Get(within, string(r.key)) // linearizable, as by default
			as[i].missing = err == nil && len(got.Kvs) == 0
		} else {
			_, err = a.kv.Put(within, string(r.key), string(r.set))
		}
		cancel()
		as[i].at = time.Now()
		if err != nil {
			as[i].failed = etcdWord(err)
		}
	}
	return nil
}

// etcdWord names an error in a word.
func etcdWord(err error) string {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code().String()
	}
	return status.FromContextError(err).Code().String()
}

func (a *etcdAsker) close() {}
