"""A server or a client of gRPC whose messages are plain bytes.

  serve                                         prints its port, and serves `test.Echo` and health on it
  call ADDRESS METHOD TIMEOUT KIND METADATA MESSAGE..   prints one JSON document: how the call ended
  load ADDRESS NAME KEY NAME KEY                calls until SIGTERM, unary ones with the first key and streams of
                                                answers with the second, and prints their counts by name
"""

import json
import queue
import signal
import sys
import threading
import time
from collections import Counter
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


LOAD_CALLERS = 4
"""Callers of each kind, each with a connection of its own."""

LOAD_PAUSE_SECONDS = 0.05
"""Pause of a caller between two calls."""

TICKS = 10
"""Messages of a stream in a load, and seconds between two of them."""
TICK_SECONDS = 0.02

accepted = Counter()
"""Calls by the id of their key."""

accepted_lock = threading.Lock()


def accept(context):
    known = dict(context.invocation_metadata())
    with accepted_lock:
        accepted[known.get("x-key-id", "")] += 1


def told_accepted(_request, _context):
    """Tells the calls so far by the id of their key."""
    with accepted_lock:
        return json.dumps(accepted).encode()


def say(request, context):
    """Answers with the message, and with how long it may take."""
    accept(context)
    context.send_initial_metadata((("x-begun", "yes"),))
    left = context.time_remaining()
    context.set_trailing_metadata((("x-length", str(len(request))),))
    known = {key: value for key, value in context.invocation_metadata()}
    told = {"said": request.decode(), "left": left, "tenant": known.get("x-tenant-id"), "key": known.get("x-api-key")}
    return json.dumps(told).encode()


def refuse(request, context):
    context.abort(next(code for code in grpc.StatusCode if code.value[0] == int(request)), "refused as asked")


def wait(request, context):
    """Answers once the time in seconds is over, or tells nobody that the call has ended before."""
    deadline = time.monotonic() + float(request)
    while time.monotonic() < deadline and context.is_active():
        time.sleep(0.01)
    print("ended early" if not context.is_active() else "waited", flush=True)
    return b"waited"


def count(request, context):
    """Streams so many messages, and ends with an error if there is a minus before the number."""
    number = int(request)
    for index in range(abs(number)):
        yield str(index).encode()
    if number < 0:
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")


def tick(request, context):
    """Streams so many messages, with a pause before each."""
    accept(context)
    for index in range(int(request)):
        time.sleep(TICK_SECONDS)
        yield str(index).encode()


def repeat(requests, context):
    """Sends each message back at once."""
    for request in requests:
        yield request


METHODS = {
    "Say": grpc.unary_unary_rpc_method_handler(say),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Tick": grpc.unary_stream_rpc_method_handler(tick),
    "Accepted": grpc.unary_unary_rpc_method_handler(told_accepted),
    "Repeat": grpc.stream_stream_rpc_method_handler(repeat),
}


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", METHODS),))
    servicer = health.HealthServicer()
    servicer.set("test.Echo", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"port {port}", flush=True)
    server.wait_for_termination()


def call(address, method, timeout, kind, metadata, *messages):
    channel = grpc.insecure_channel(address)
    messages = [message.encode() for message in messages]
    options = {"timeout": float(timeout) or None, "metadata": tuple(json.loads(metadata).items())}
    path = f"/test.Echo/{method}"
    told = {"messages": []}
    try:
        if kind == "unary":
            answer, ended = channel.unary_unary(path).with_call(messages[0], **options)
            told["messages"].append(answer.decode())
        elif kind == "stream":
            ended = channel.unary_stream(path)(messages[0], **options)
            for answer in ended:
                told["messages"].append(answer.decode())
        else:
            # Each message is sent once the one before it has come back.
            sent = iter(messages)
            came = queue.SimpleQueue()
            came.put(None)

            def paced():
                for message in sent:
                    came.get()
                    yield message

            ended = channel.stream_stream(path)(paced(), **options)
            for answer in ended:
                told["messages"].append(answer.decode())
                came.put(None)
        told["code"], told["details"] = ended.code().value[0], ended.details()
    except grpc.RpcError as error:
        ended = error
        told["code"], told["details"] = error.code().value[0], error.details()
    told["header"] = {key: value for key, value in ended.initial_metadata() or () if isinstance(value, str)}
    told["trailer"] = {key: value for key, value in ended.trailing_metadata() or () if isinstance(value, str)}
    print(json.dumps(told), flush=True)


def load(address, *names_and_keys):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    names, keys = names_and_keys[::2], names_and_keys[1::2]
    told = {name: {"answered": 0, "failed": 0, "reasons": []} for name in names}
    lock = threading.Lock()

    def unary(channel, options):
        return [channel.unary_unary("/test.Echo/Say")(b"hello", **options)]

    def stream(channel, options):
        return list(channel.unary_stream("/test.Echo/Tick")(str(TICKS).encode(), **options))

    def keep_calling(call, messages, name, key):
        channel = grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),))
        options = {"timeout": 30, "metadata": (("x-api-key", key),)}
        counts = told[name]
        while not stop.is_set():
            try:
                came = len(call(channel, options))
                reason = None if came == messages else f"{came} messages of {messages}"
            except grpc.RpcError as error:
                reason = f"{error.code()}: {error.details()}"
            with lock:
                counts["failed" if reason else "answered"] += 1
                if reason and len(counts["reasons"]) < 5:
                    counts["reasons"].append(reason)
            time.sleep(LOAD_PAUSE_SECONDS)
        channel.close()

    kinds = [(unary, 1, names[0], keys[0]), (stream, TICKS, names[1], keys[1])]
    callers = [threading.Thread(target=keep_calling, args=kind) for kind in kinds for _ in range(LOAD_CALLERS)]
    for caller in callers:
        caller.start()
    stop.wait()
    for caller in callers:
        caller.join()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    {"serve": serve, "call": call, "load": load}[sys.argv[1]](*sys.argv[2:])
