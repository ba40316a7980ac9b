// Carries out what the scenarios want with a client of Node.js, as
//
//   node driver.mjs ioredis|node-redis cluster|plain HOST:PORT...
//
// One request in JSON a line comes on standard input, and a reply goes to standard
// output for each, in the order in which they are done:
//
//   {"id": 1, "op": "set", "key": "k", "value": "v"}    {"id": 1, "value": null}
//   {"id": 2, "op": "incr", "key": "k"}                 {"id": 2, "error": "ERR value is not ..."}
//
// "first" runs what a user of the client writes first and replies with what it did.
import { createInterface } from 'node:readline';
import { ioredis } from './ioredis.mjs';
import { nodeRedis } from './node-redis.mjs';

const [name, mode, ...addrs] = process.argv.slice(2);
const open = { ioredis, 'node-redis': nodeRedis }[name];
const nodes = addrs.map((addr) => {
  const colon = addr.lastIndexOf(':');
  return { host: addr.slice(0, colon), port: Number(addr.slice(colon + 1)) };
});

const store = await open(nodes, mode === 'cluster');
const operations = {
  set: ({ key, value }) => store.set(key, value),
  get: ({ key }) => store.get(key),
  incr: ({ key }) => store.incr(key),
  incrall: ({ keys }) => store.incrAll(keys),
  first: () => store.first(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  operations[request.op](request).then(
    (value) => answer({ id: request.id, value: value ?? null }),
    (error) => answer({ id: request.id, error: `${error.message || error}${request.op === 'first' ? `\n${error.stack}` : ''}` }),
  );
}
await store.close();

function answer(reply) {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
