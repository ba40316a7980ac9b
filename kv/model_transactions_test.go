package kv_test

import (
	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

// watch has a client watch a key, to depend on it at some time or other.
func (w *world) watch() {
	key := w.key()
	id := shard.Of([]byte(key))
	g := w.serving(id)
	reply := w.query(g, "DISKV.WATCH "+key)
	if w.refused(g, id, reply) {
		return
	}
	token := read(w.t, []byte(reply)).Str
	there := w.query(g, "EXISTS "+key) == ":1\r\n"
	w.watches = append(w.watches, worldWatch{kv.Watched{Token: token, Key: []byte(key)}, g, w.touched[key], there})
}

// transact executes a transaction that depends on a key. It must not be executed if
// that has changed, wherever its shard has been in the meantime; and it must be if
// nothing at all has happened.
func (w *world) transact() {
	if len(w.watches) == 0 {
		return
	}
	i := len(w.watches) - 1 - w.IntN(min(len(w.watches), 12))
	watch := w.watches[i]
	key := string(watch.Key)
	p, refusal := kv.Prepare(kv.TransactionArgs(watch.Key, []kv.Watched{watch.Watched}, [][][]byte{args(w.t, "EXISTS "+key), args(w.t, w.lineOn(key))}))
	require.Nil(w.t, refusal)
	g := w.serving(p.Shard)
	h := g.store().Handover()
	reply := w.apply(g, p.Command.Append(nil))
	if w.refused(g, p.Shard, reply) {
		return
	}
	if reply == "_\r\n" {
		w.failed++
		return
	}
	require.Equal(w.t, watch.by, g, "config %v", h.Config)
	require.Equal(w.t, watch.touched, w.touched[key], "%s was changed, and the transaction executed", key)
	v := read(w.t, []byte(reply))
	require.Equal(w.t, watch.there, v.Elems[0].Int == 1, "%s has expired, and the transaction was executed", key)
	_, commands, ok := kv.ReadTransaction(p.Command.Args)
	require.True(w.t, ok)
	want := w.execute(g, p.Shard, kv.Command{Args: commands[0]}) + w.execute(g, p.Shard, kv.Command{Args: commands[1]})
	require.Equal(w.t, "*2\r\n"+want, reply)
	w.passed++
}
