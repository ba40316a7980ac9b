"""Carries out what the scenarios want with redis-py, as

    python3 driver.py cluster|plain HOST:PORT...

One request in JSON a line comes on standard input, and a reply goes to standard
output for each, in the order in which they are done:

    {"id": 1, "op": "set", "key": "k", "value": "v"}    {"id": 1, "value": null}
    {"id": 2, "op": "incr", "key": "k"}                 {"id": 2, "error": "value is not ..."}

"first" runs what a user of the client writes first and replies with what it did.
The clients' options are their defaults, but for answers as text.
"""

import json
import logging
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.cluster import ClusterNode, RedisCluster


class Store:
    def __init__(self, mode, addrs):
        self.clustered = mode == "cluster"
        nodes = [addr.rsplit(":", 1) for addr in addrs]
        if self.clustered:
            self.db = RedisCluster(startup_nodes=[ClusterNode(host, int(port)) for host, port in nodes], decode_responses=True)
        else:
            self.db = redis.Redis(host=nodes[0][0], port=int(nodes[0][1]), decode_responses=True)
        assert self.db.ping()

    def set(self, key, value):
        assert self.db.set(key, value) is True

    def get(self, key):
        return self.db.get(key)

    def incr(self, key):
        return self.db.incr(key)

    def incrall(self, keys):
        pipeline = self.db.pipeline() if self.clustered else self.db.pipeline(transaction=False)
        for key in keys:
            pipeline.incr(key)
        return pipeline.execute()

    def first(self):
        # What an attempt has left that an election has ended.
        self.db.delete(*("{py}" + name for name in ("greeting", "n", "a", "b", "p", "t", "lock", "mutex")))
        return [step.__name__.removeprefix("first_") for step in FIRST if step(self.db, self.clustered) is not SKIPPED]


SKIPPED = object()


def first_set_and_get(db, _):
    assert db.set("{py}greeting", "hello") is True
    assert db.get("{py}greeting") == "hello"
    assert db.get("{py}nothing") is None
    assert db.append("{py}greeting", "!") == 6
    assert db.delete("{py}greeting") == 1


def first_counters(db, _):
    assert db.incr("{py}n") == 1
    assert db.incrby("{py}n", 41) == 42
    assert db.incrbyfloat("{py}n", 0.5) == 42.5
    try:
        db.incr("{py}n")
        raise AssertionError("a fraction was incremented")
    except redis.ResponseError as error:
        assert "not an integer" in str(error)


def first_several_keys(db, _):
    assert db.mset({"{py}a": "1", "{py}b": "2"}) is True
    assert db.mget("{py}a", "{py}b", "{py}nothing") == ["1", "2", None]
    assert db.exists("{py}a", "{py}b") == 2


def first_pipeline(db, clustered):
    pipeline = db.pipeline() if clustered else db.pipeline(transaction=False)
    assert pipeline.set("{py}p", "1").incr("{py}p").get("{py}p").execute() == [True, 2, "2"]


def first_transaction(db, clustered):
    if clustered:
        return SKIPPED  # RedisCluster of redis-py has none
    assert db.pipeline().set("{py}t", "1").incr("{py}t").get("{py}t").execute() == [True, 2, "2"]


def first_watch(db, clustered):
    if clustered:
        return SKIPPED
    with db.pipeline() as pipeline:
        pipeline.watch("{py}t")
        db.set("{py}t", "changed")
        pipeline.multi()
        pipeline.set("{py}t", "mine")
        try:
            pipeline.execute()
            raise AssertionError("a key that was changed was watched")
        except redis.WatchError:
            pass
    assert db.get("{py}t") == "changed"


def first_expiry(db, _):
    assert db.set("{py}lock", "me", ex=60, nx=True) is True
    assert db.set("{py}lock", "you", ex=60, nx=True) is None
    assert db.pexpire("{py}lock", 50)
    while not db.set("{py}lock", "you", ex=60, nx=True):
        pass
    assert 50 < db.ttl("{py}lock") <= 60


def first_lock(db, clustered):
    if clustered:
        return SKIPPED
    # What redis-py calls a lock is freed by a script, which there is not: the plain
    # form, as in the documentation of SET.
    assert db.set("{py}mutex", "me", nx=True, px=10_000) is True
    assert db.set("{py}mutex", "you", nx=True, px=10_000) is None
    assert db.getdel("{py}mutex") == "me"


def first_scan(db, _):
    found = set(db.scan_iter(match="{py}*", count=3))
    assert found - {"{py}t"} == {"{py}a", "{py}b", "{py}lock", "{py}n", "{py}p"}, found


def first_reads_of_replicas(db, clustered):
    if not clustered:
        return SKIPPED
    nodes = [ClusterNode(node.host, node.port) for node in db.get_primaries()]
    readers = RedisCluster(startup_nodes=nodes, read_from_replicas=True, decode_responses=True)
    db.set("{py}a", "read me")
    while readers.get("{py}a") != "read me":
        pass


FIRST = [
    first_set_and_get, first_counters, first_several_keys, first_pipeline, first_transaction,
    first_watch, first_expiry, first_lock, first_scan, first_reads_of_replicas,
]


def main():
    logging.disable()  # what it gets over by itself
    store = Store(sys.argv[1], sys.argv[2:])
    writing = threading.Lock()

    def carry_out(request):
        reply = {"id": request.pop("id")}
        op = request.pop("op")
        try:
            reply["value"] = getattr(store, op)(**request)
        except Exception as error:  # whatever it is, it is the answer
            reply["error"] = traceback.format_exc() if op == "first" else str(error)
        with writing:
            print(json.dumps(reply), flush=True)

    with ThreadPoolExecutor(16) as threads:
        for line in sys.stdin:
            threads.submit(carry_out, json.loads(line))


main()
