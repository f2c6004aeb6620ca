"""Makes BuildGrid's server refuse every call without the token, but for those of the workers at their socket."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Callable
from typing import Any

import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore]

_LOCAL = "unix:"  # https://grpc.github.io/grpc/core/md_doc_naming.html


class Authorization(grpc.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Checks the calls of all services, whatever they are, before these see them."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Returns the handler of a call that has the token, or one that refuses it unless it is a worker's."""
        given = [value for key, value in details.invocation_metadata or () if key == "authorization"]
        if len(given) == 1 and hmac.compare_digest(_bytes(given[0]), self._expected):
            return continuation(details)
        handler = continuation(details)
        return None if handler is None else _only_for_workers(handler, details.method, bool(given))


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _only_for_workers(handler: Any, method: str, has_credentials: bool) -> Any:
    """Returns a handler that hands on what comes by a Unix domain socket, and refuses everything else.

    Whoever can open the socket may do all, since its folder is closed to other users. The call of a client cannot
    pretend to come that way: gRPC takes the peer from the connection.
    """

    def guarded(behavior: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def call(request: Any, context: Any) -> Any:
            if not context.peer().startswith(_LOCAL):
                what = "wrong" if has_credentials else "no"
                print(f"refused: {method!r} of {context.peer()}: {what} credentials", file=sys.stderr, flush=True)
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{what} credentials")
            return behavior(request, context)

        return call

    kinds = {
        (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
    }
    make, behavior = kinds[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(guarded(behavior), handler.request_deserializer, handler.response_serializer)
