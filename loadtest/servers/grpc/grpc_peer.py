"""A server or a client of gRPC whose messages are plain bytes.

  serve                                         prints its port, and serves `test.Echo` and health on it
  call ADDRESS METHOD TIMEOUT KIND METADATA MESSAGE..   prints one JSON document: how the call ended
"""

import json
import queue
import sys
import time
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def say(request, context):
    """Answers with the message, and with how long it may take."""
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


def repeat(requests, context):
    """Sends each message back at once."""
    for request in requests:
        yield request


METHODS = {
    "Say": grpc.unary_unary_rpc_method_handler(say),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
    "Count": grpc.unary_stream_rpc_method_handler(count),
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


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
