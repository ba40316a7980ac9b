// The store of the scenarios with ioredis, whose options are its defaults.
import assert from 'node:assert/strict';
import { Redis, Cluster } from 'ioredis';

export async function ioredis(nodes, clustered) {
  const db = clustered ? new Cluster(nodes.slice(0, 1)) : new Redis(nodes[0].port, nodes[0].host);
  db.on('error', () => {}); // calls fail, or are repeated by the client
  await db.ping();
  return {
    set: async (key, value) => { assert.equal(await db.set(key, value), 'OK'); },
    get: (key) => db.get(key),
    incr: (key) => db.incr(key),
    incrAll: async (keys) => {
      // A pipeline of a cluster is one of one master here: its keys go together.
      if (clustered) return Promise.all(keys.map((key) => db.incr(key)));
      const pipeline = db.pipeline();
      for (const key of keys) pipeline.incr(key);
      return (await pipeline.exec()).map(([error, n]) => { if (error) throw error; return n; });
    },
    first: () => first(db, clustered),
    close: () => db.quit().catch(() => db.disconnect()),
  };
}

async function first(db, clustered) {
  const done = [];
  const step = async (name, f) => { await f(); done.push(name); };
  await db.del(['greeting', 'n', 'a', 'b', 'p', 't', 'lock'].map((name) => `{io}${name}`)); // of an attempt that an election has ended

  await step('set and get', async () => {
    assert.equal(await db.set('{io}greeting', 'hello'), 'OK');
    assert.equal(await db.get('{io}greeting'), 'hello');
    assert.equal(await db.get('{io}nothing'), null);
    assert.deepEqual(await db.getBuffer('{io}greeting'), Buffer.from('hello'));
    assert.equal(await db.append('{io}greeting', '!'), 6);
    assert.equal(await db.del('{io}greeting'), 1);
  });
  await step('counters', async () => {
    assert.equal(await db.incr('{io}n'), 1);
    assert.equal(await db.incrby('{io}n', 41), 42);
    assert.equal(await db.incrbyfloat('{io}n', 0.5), '42.5');
    await assert.rejects(db.incr('{io}n'), /not an integer/);
  });
  await step('several keys', async () => {
    assert.equal(await db.mset({ '{io}a': '1', '{io}b': '2' }), 'OK');
    assert.deepEqual(await db.mget('{io}a', '{io}b', '{io}nothing'), ['1', '2', null]);
    assert.equal(await db.exists('{io}a', '{io}b'), 2);
  });
  await step('pipeline', async () => {
    const results = await db.pipeline().set('{io}p', '1').incr('{io}p').get('{io}p').exec();
    assert.deepEqual(results, [[null, 'OK'], [null, 2], [null, '2']]);
  });
  await step('transaction', async () => {
    const results = await db.multi().set('{io}t', '1').incr('{io}t').get('{io}t').exec();
    assert.deepEqual(results, [[null, 'OK'], [null, 2], [null, '2']]);
  });
  if (!clustered) {
    await step('watch', async () => {
      await db.watch('{io}t');
      await db.set('{io}t', 'changed');
      assert.equal(await db.multi().set('{io}t', 'mine').exec(), null);
      assert.equal(await db.get('{io}t'), 'changed');
    });
  }
  await step('expiry', async () => {
    assert.equal(await db.set('{io}lock', 'me', 'EX', 60, 'NX'), 'OK');
    assert.equal(await db.set('{io}lock', 'you', 'EX', 60, 'NX'), null);
    assert.equal(await db.pexpire('{io}lock', 50), 1);
    while (await db.set('{io}lock', 'you', 'EX', 60, 'NX') === null);
    const ttl = await db.ttl('{io}lock');
    assert.ok(ttl > 50 && ttl <= 60, `ttl ${ttl}`);
  });
  await step('scan', async () => {
    const masters = clustered ? db.nodes('master') : [db];
    const found = new Set();
    for (const master of masters) {
      for await (const keys of master.scanStream({ match: '{io}*', count: 3 })) keys.forEach((key) => found.add(key));
    }
    assert.deepEqual([...found].sort(), ['{io}a', '{io}b', '{io}lock', '{io}n', '{io}p', '{io}t']);
  });
  if (clustered) {
    await step('reads of replicas', async () => {
      const readers = new Cluster(db.startupNodes ?? db.nodes('master').map(({ options }) => options), { scaleReads: 'slave' });
      await db.set('{io}a', 'read me');
      while (await readers.get('{io}a') !== 'read me');
      await readers.quit();
    });
  }
  return done;
}
