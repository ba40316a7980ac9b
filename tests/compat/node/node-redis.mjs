// The store of the scenarios with node-redis, whose options are its defaults.
import assert from 'node:assert/strict';
import { createClient, createCluster, WatchError } from 'redis';

export async function nodeRedis(nodes, clustered) {
  const url = ({ host, port }) => `redis://${host}:${port}`;
  const db = clustered
    ? createCluster({ rootNodes: nodes.map((node) => ({ url: url(node) })) })
    : createClient({ url: url(nodes[0]) });
  db.on('error', () => {}); // calls fail, or are repeated by the client
  await db.connect();
  return {
    set: async (key, value) => { assert.equal(await db.set(key, value), 'OK'); },
    get: (key) => db.get(key),
    incr: (key) => db.incr(key),
    incrAll: (keys) => Promise.all(keys.map((key) => db.incr(key))), // it pipelines by itself
    first: () => first(db, clustered),
    close: () => db.close(),
  };
}

async function first(db, clustered) {
  const done = [];
  const step = async (name, f) => { await f(); done.push(name); };
  await db.del(['greeting', 'n', 'a', 'b', 'p', 't', 'lock'].map((name) => `{nr}${name}`)); // of an attempt that an election has ended

  await step('set and get', async () => {
    assert.equal(await db.set('{nr}greeting', 'hello'), 'OK');
    assert.equal(await db.get('{nr}greeting'), 'hello');
    assert.equal(await db.get('{nr}nothing'), null);
    assert.equal(await db.append('{nr}greeting', '!'), 6);
    assert.equal(await db.del('{nr}greeting'), 1);
  });
  await step('counters', async () => {
    assert.equal(await db.incr('{nr}n'), 1);
    assert.equal(await db.incrBy('{nr}n', 41), 42);
    assert.equal(await db.incrByFloat('{nr}n', 0.5), '42.5');
    await assert.rejects(db.incr('{nr}n'), /not an integer/);
  });
  await step('several keys', async () => {
    assert.equal(await db.mSet({ '{nr}a': '1', '{nr}b': '2' }), 'OK');
    assert.deepEqual(await db.mGet(['{nr}a', '{nr}b', '{nr}nothing']), ['1', '2', null]);
    assert.equal(await db.exists(['{nr}a', '{nr}b']), 2);
  });
  await step('pipeline', async () => {
    const results = await Promise.all([db.set('{nr}p', '1'), db.incr('{nr}p'), db.get('{nr}p')]);
    assert.deepEqual(results, ['OK', 2, '2']);
  });
  await step('transaction', async () => {
    assert.deepEqual(await db.multi().set('{nr}t', '1').incr('{nr}t').get('{nr}t').exec(), ['OK', 2, '2']);
  });
  if (!clustered) {
    await step('watch', async () => {
      const other = await db.duplicate().connect();
      await db.watch('{nr}t');
      await other.set('{nr}t', 'changed');
      await assert.rejects(db.multi().set('{nr}t', 'mine').exec(), WatchError);
      assert.equal(await db.get('{nr}t'), 'changed');
      await other.close();
    });
  }
  await step('expiry', async () => {
    const lock = (value, ms) => db.set('{nr}lock', value, { condition: 'NX', expiration: { type: 'PX', value: ms } });
    assert.equal(await lock('me', 60_000), 'OK');
    assert.equal(await lock('you', 60_000), null);
    assert.equal(await db.pExpire('{nr}lock', 50), 1);
    while (await lock('you', 60_000) === null);
    const ttl = await db.ttl('{nr}lock');
    assert.ok(ttl > 50 && ttl <= 60, `ttl ${ttl}`);
  });
  await step('scan', async () => {
    const masters = clustered ? await Promise.all(db.masters.map((master) => db.nodeClient(master))) : [db];
    const found = new Set();
    for (const master of masters) {
      for await (const keys of master.scanIterator({ MATCH: '{nr}*', COUNT: 3 })) keys.forEach((key) => found.add(key));
    }
    assert.deepEqual([...found].sort(), ['{nr}a', '{nr}b', '{nr}lock', '{nr}n', '{nr}p', '{nr}t']);
  });
  if (clustered) {
    await step('reads of replicas', async () => {
      const readers = await createCluster({ rootNodes: db.masters.map(({ host, port }) => ({ url: `redis://${host}:${port}` })), useReplicas: true })
        .on('error', () => {}).connect();
      await db.set('{nr}a', 'read me');
      while (await readers.get('{nr}a') !== 'read me');
      await readers.close();
    });
  }
  return done;
}
