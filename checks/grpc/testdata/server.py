"""A gRPC server with the official C core: the health service by hand, since
Debian does not package it. Usage: server.py ADDRESS [CERT KEY]

The service's name is the answer that is asked for. With a fixed token, calls
need the metadata authorization: Bearer hunter2.
"""
import signal
import sys
import threading
import time
from concurrent import futures

import grpc

STATUS = {"": 1, "up": 1, "unknown": 0, "down": 2, "odd": 9}
ERRORS = {
    "overloaded": (grpc.StatusCode.UNAVAILABLE, "try again later, 100%\n\u00e9"),
    "token": (grpc.StatusCode.UNAUTHENTICATED, "no token"),
    "forbidden": (grpc.StatusCode.PERMISSION_DENIED, ""),
    "limited": (grpc.StatusCode.RESOURCE_EXHAUSTED, "no more"),
}


def check(request, context):
    """The request and the answer are bytes: field 1, string and enum."""
    service = request[2:].decode()
    metadata = dict(context.invocation_metadata())
    if service == "slow":
        time.sleep(context.time_remaining() + 1)
    if service == "token" and metadata.get("authorization") == "Bearer hunter2":
        return b"\x08\x01"
    if service == "echo":
        context.abort(grpc.StatusCode.UNAUTHENTICATED, metadata.get("authorization", "nothing"))
    if service == "long":
        return b"\x12\xff\xff\x03" + b"x" * 65535
    if service == "later":  # fields of a later version of the protocol
        return b"\x12\x03new\x08\x01\x19abcdefgh\x25abcd\x30\x96\x01"
    if service == "empty":  # the zero value is not written
        return b""
    if service == "bug":
        raise RuntimeError("bug")
    if service in ERRORS:
        context.abort(*ERRORS[service])
    if service not in STATUS:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, STATUS[service]]) if STATUS[service] else b""


def main():
    address = sys.argv[1]
    handler = grpc.unary_unary_rpc_method_handler(check)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    name = "grpc.health.v1.Health"
    if "bare" in sys.argv:
        name = "shop.v1.Cart"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Check": handler}),))
    if len(sys.argv) > 3:
        cert, key = (open(f, "rb").read() for f in sys.argv[2:4])
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, cert)]))
    else:
        server.add_insecure_port(address)
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
