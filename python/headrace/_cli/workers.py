"""Several processes that serve at one port. The system gives each connection to one of them."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
import sys
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, cast

from headrace.errors import ConfigurationError, HeadraceError
from headrace.serve import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from headrace._serve.answer import Served

    Serve = Callable[[Server, float, int], Awaitable[None]]

__all__ = ["serve_in_processes"]


def serve_in_processes(
    served: Mapping[str, Served], options: Mapping[str, Any], workers: int, drain_seconds: float, serve: Serve
) -> None:
    """Serves in several processes until a signal, or until one of them fails.

    The processes know nothing of each other: limits count in each by itself, and a run belongs to the process that its
    request came to. So ``on_disconnect="continue"`` and responses that go on from others need one process.

    Args:
        served: What is served, by name.
        options: Options of ``Server``.
        workers: How many processes.
        drain_seconds: How long running answers may take after a signal.
        serve: Serves in one process.

    Raises:
        ConfigurationError: The processes cannot share a port here, or an option needs one process.
        SystemExit: A process failed; code 1.
    """
    if not hasattr(socket, "SO_REUSEPORT") or "fork" not in multiprocessing.get_all_start_methods():
        raise ConfigurationError("--workers needs a system where processes can share a port, such as Linux")
    if options.get("on_disconnect") == "continue":
        raise ConfigurationError(
            "--on-disconnect continue needs one process: a client that comes back must find its run"
        )
    host = str(options["host"])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as reserved:
        # Holds the port, which may be any free one, and takes no connections, because it does not listen.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind((host, options["port"]))
        except OSError as error:
            raise ConfigurationError(f"cannot serve there: {error}") from error
        port = reserved.getsockname()[1]
        # Forked before any thread is there, so that agents need not be pickled.
        context = multiprocessing.get_context("fork")
        shared = {**options, "port": port, "shares_port": True}
        arguments = [(served, shared, drain_seconds, serve, number) for number in range(1, workers + 1)]
        processes = [context.Process(target=_work, args=each) for each in arguments]
        for process in processes:
            process.start()
        _wait_for(processes)
    if any(process.exitcode for process in processes):
        raise SystemExit(1)


def _wait_for(processes: list[Any]) -> None:
    """Passes signals on to the processes, and waits for their end. If one ends, the others end too."""

    def pass_on(_number: int = signal.SIGTERM, _frame: object = None) -> None:
        for process in processes:
            if process.is_alive():
                process.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    sentinels = {process.sentinel: process for process in processes}
    while sentinels:
        for sentinel in wait(list(sentinels)):
            ended = sentinels.pop(cast("int", sentinel))
            ended.join()
            if ended.exitcode:
                pass_on()


def _work(
    served: Mapping[str, Served], options: Mapping[str, Any], drain_seconds: float, serve: Serve, number: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        asyncio.run(cast("Any", serve(Server(served, **options), drain_seconds, number)))
    except HeadraceError as error:
        print(f"headrace: {error}", file=sys.stderr)
        sys.exit(1)
