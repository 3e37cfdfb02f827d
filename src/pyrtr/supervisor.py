"""The program: what starts in which order, what runs beside what, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import uvloop

from pyrtr.compiler import follower
from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.place import Place
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.compiler.updater import Updater
from pyrtr.errors import PyrtrError, StoreError
from pyrtr.logs import get_logger
from pyrtr.server import control
from pyrtr.server.activation import inherited
from pyrtr.server.doors import Doors
from pyrtr.server.limits import Limits
from pyrtr.server.md5 import Md5
from pyrtr.server.publisher import Published, Publisher
from pyrtr.server.registry import Registry
from pyrtr.server.tcp import Listener, bind
from pyrtr.settings import SHARED, VARIABLES, Farewell, Settings
from pyrtr.sources.base import Feed, protocol
from pyrtr.sources.fetch.connection import tls_context
from pyrtr.sources.fetch.feed import DocumentFeed
from pyrtr.sources.fetch.request import SourceTls
from pyrtr.sources.location import Location, names_of
from pyrtr.sources.pyrtr import PyrtrSource
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import LockedError, Store
from pyrtr.web.context import Context
from pyrtr.web.lookup.client import Lookup
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.pdu import Timing

if TYPE_CHECKING:
    from pyrtr.web.server import HttpServer
    from pyrtr.web.tls import HttpTls

# What is under way when the program is told to stop may go on for so long; the whole stop takes 5 seconds at most.
LEAVE_TIMEOUT_S = 3.0
# Recovering takes a moment, or a second where something has expired since.
RECOVER_TIMEOUT_S = 10.0
# A million VRPs are published a second or two after the start, if nothing else takes the processor meanwhile.
HTTP_PATIENCE_S = 2.0
# After a failure of what tells that there is something new. Looks are made on schedule meanwhile.
WATCH_AGAIN_S = 10.0
# Allocations from this size on are mapped (mallopt(3)): tables and images are, and little else.
MMAP_THRESHOLD_BYTES = 2**20
_M_MMAP_THRESHOLD = -3

_FAREWELLS = {
    Farewell.RESTART: ErrorCode.CACHE_RESTART,
    Farewell.SHUTDOWN: ErrorCode.CACHE_SHUTDOWN,
    Farewell.NONE: None,
}


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        The exit status: 0 after a stop that was asked for, 1 if the program can't start.
    """
    _raise_descriptor_limit()
    _give_memory_back()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings))
        except PyrtrError as error:
            get_logger().critical("pyrtr can't start", reason=str(error))
            return 1
    return 0


async def _serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        md5 = None if settings.tcp_md5 is None else Md5(settings.tcp_md5)
        sockets = _sockets(settings, md5)
        stack.callback(_close_all, sockets)
        store, problem = _open_store(settings)
        stack.callback(store.close)
        publisher = Publisher(_nothing_published(settings))
        stack.callback(publisher.close)
        limits = Limits(settings.allow, settings.version_caps or (), settings.max_routers)
        registry = Registry(publisher, Version(settings.min_version), Version(settings.max_version), limits)
        doors = Doors(settings, registry, sockets, md5)
        listener = Listener(doors.by_socket, registry, md5)

        def gate(is_open: bool) -> None:
            listener.control(is_open)
            registry.gate(is_open)

        loader, feeds = _updater(settings, store, publisher, gate)
        loader.status.state_error = problem
        tls = _http_tls(settings)
        stopping = _watch_signals(loader, doors, tls)
        context = Context(
            publisher=publisher,
            registry=registry,
            loader=loader,
            settings=settings,
            rtr_addresses=doors.addresses["rtr"],
            http_addresses=doors.addresses["http"],
            listener=listener,
            doors=doors,
            started_at=time.time(),
            http_tls=tls,
            lookup=Lookup(lambda: bool(registry.sending)),
            archive=store.archive,
        )
        stack.push_async_callback(context.lookup.close)
        publisher.subscribe(_ready_line(context))
        get_logger().info(
            "started",
            rtr=" ".join(context.rtr_addresses),
            tls=" ".join(doors.addresses["tls"]),
            ssh=" ".join(doors.addresses["ssh"]),
            http=" ".join(context.http_addresses),
            source=loader.status.location,
        )
        jobs: list[Coroutine[Any, Any, None]] = [_serve_routers(loader, listener, store), context.pulse.run()]
        if settings.watch:
            jobs.append(_lasting(loader.watch))
        if settings.watch or protocol(settings.datasource) is not None:
            jobs += [_lasting(partial(feed.watch, loader.trigger)) for feed in feeds]
        if sockets["http"]:
            first = asyncio.Event()
            publisher.subscribe(first.set)
            jobs.append(_serve_http(context, sockets["http"], tls, first))
        if store.is_kept:
            await _listen_for_operator(stack, store, loader)
        await _run_until(stopping, jobs)
        get_logger().info("stopping", routers=len(registry.connections))
        listener.close()
        await registry.leave(_FAREWELLS[settings.farewell], timeout_s=LEAVE_TIMEOUT_S)


def _sockets(settings: Settings, md5: Md5 | None) -> dict[str, list[socket.socket]]:
    """The listening sockets by what they are for: handed over by the service manager, or our own."""
    ports = {"rtr": settings.rtr_port, "tls": settings.tls_port, "ssh": settings.ssh_port, "http": settings.http_port}
    handed_over = inherited(os.environ)
    sockets = {name: handed_over.get(name, []) for name in ports}
    try:
        for name, port in ports.items():
            keys = None if name == "http" else md5
            if keys is not None:
                for sock in sockets[name]:
                    keys.protect(sock)
            if not sockets[name] and port is not None:
                sockets[name] = bind(settings.host, port, keys)
    except BaseException:
        _close_all(sockets)
        raise
    return sockets


def _open_store(settings: Settings) -> tuple[Store, str | None]:
    """The state folder, or one that goes with the program and the reason for it."""
    try:
        store = Store(settings.state, settings.history_days)
    except LockedError:
        raise
    except StoreError as error:
        get_logger().error("serving without a state folder: a restart will lose the routers' place", reason=str(error))
        return Store(None, settings.history_days), str(error)
    if store.set_aside_reason is not None:
        get_logger().error("state set aside, a new session begins", reason=store.set_aside_reason)
    return store, None


def _updater(
    settings: Settings, store: Store, publisher: Publisher, gate: Callable[[bool], None]
) -> tuple[Updater, list[Feed]]:
    """What brings the published payload up to date, and the feeds of its locations."""
    tls = SourceTls.of(settings.source_ca, settings.source_cert, settings.source_key)
    policy = Policy(settings.reload, settings.max_age, settings.on_stale, settings.max_shrink, settings.hold)
    if settings.datasource == follower.KIND:
        upstream = follower.Upstream(PyrtrSource(settings.location[0], tls))
        ledger = _ledger(settings, store, publisher, upstream.key)
        return follower.Follower(upstream, ledger, policy, gate=gate), []

    def document(location: Location) -> DocumentFeed:
        return DocumentFeed(location, store.path, tls)

    module = protocol(settings.datasource)

    def feed(location: Location) -> Feed:
        return document(location) if module is None else module.feed(location, store.path, settings)

    names = names_of(settings.location)
    places = [
        Place(settings.datasource, location, name, feed(location))
        for location, name in zip(settings.location, names, strict=True)
    ]
    feeds = {location: document(location) for location in settings.slurm if not location.is_local}
    slurm = SlurmPlaces(settings.slurm, feeds)
    loader: Loader
    if settings.fleet:
        loader = _member(settings, store, publisher, places, slurm, policy, tls, gate)
    else:
        ledger = _ledger(settings, store, publisher)
        loader = Loader(places, settings.merge, slurm, ledger, policy, gate=gate)
    return loader, [place.feed for place in places]


def _ledger(settings: Settings, store: Store, publisher: Publisher, upstream: str = "") -> Ledger:
    return Ledger(
        store, publisher, max_steps=settings.history, initial_serial=settings.initial_serial, upstream=upstream
    )


def _member(
    settings: Settings,
    store: Store,
    publisher: Publisher,
    places: Sequence[Place],
    slurm: SlurmPlaces,
    policy: Policy,
    tls: SourceTls,
    gate: Callable[[bool], None],
) -> Loader:
    from pyrtr.fleet.jetstream import NatsStream
    from pyrtr.fleet.ledger import FleetLedger
    from pyrtr.fleet.member import Member
    from pyrtr.fleet.status import FleetStatus

    status = FleetStatus(settings.fleet_name, f"{socket.gethostname()}-{secrets.token_hex(3)}")
    stream = NatsStream(
        [server.text for server in settings.fleet],
        settings.fleet_name,
        status.member,
        max_records=settings.history + 1,
        tls=tls_context(tls) if any(server.scheme == "tls" for server in settings.fleet) else None,
    )
    ledger = FleetLedger(
        store,
        publisher,
        stream,
        status,
        max_steps=settings.history,
        initial_serial=settings.initial_serial,
        is_filtered=bool(settings.slurm),
    )
    shared = {name: VARIABLES[name].syntax.write(getattr(settings, name.lower())) for name in SHARED}
    return Member(places, settings.merge, slurm, ledger, policy, status, shared, gate=gate)


async def _serve_routers(loader: Updater, listener: Listener, store: Store) -> None:
    """Routers that connect meanwhile wait for what the last run left, for a moment; then they are told to try later."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(loader.recover(), RECOVER_TIMEOUT_S)
    listener.start()
    await asyncio.to_thread(store.catch_up)
    await loader.run()


def _http_tls(settings: Settings) -> HttpTls | None:
    if settings.http_tls_cert is None or settings.http_tls_key is None:
        return None
    from pyrtr.web.tls import HttpTls

    return HttpTls(settings.http_tls_cert, settings.http_tls_key)


async def _serve_http(
    context: Context, sockets: list[socket.socket], tls: HttpTls | None, first: asyncio.Event
) -> None:
    """HTTP takes longer to load than all the rest together: the first table goes before it, if that is soon there."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(first.wait(), HTTP_PATIENCE_S)
    server = await asyncio.to_thread(_load_http, context, sockets, tls)
    gc.freeze()  # what is loaded by now stays: looking through all of it for garbage would hold up routers for 50 ms
    await server.run()


def _load_http(context: Context, sockets: list[socket.socket], tls: HttpTls | None) -> HttpServer:
    from pyrtr.web.app import create_app
    from pyrtr.web.server import HttpServer

    return HttpServer(create_app(context), sockets, tls)


async def _listen_for_operator(stack: contextlib.AsyncExitStack, store: Store, loader: Updater) -> None:
    try:
        await stack.enter_async_context(control.listening(store.path, {"accept": loader.accept}))
    except OSError as error:
        get_logger().warning("`pyrtr accept` can't reach this program: use SIGUSR1", reason=error.strerror)


async def _run_until(stopping: asyncio.Event, jobs: list[Coroutine[Any, Any, None]]) -> None:
    """Run the jobs until the event is set, then end them; a job that fails ends the program, loudly."""
    tasks = [asyncio.create_task(job) for job in jobs]
    stop = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (stop, *tasks):
            task.cancel()
        await asyncio.wait([stop, *tasks], timeout=1.0)


async def _lasting(watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Watch for what is new, and begin again after whatever goes wrong: it is no reason to leave the routers."""
    while True:
        try:
            await watch()
        except Exception:  # a bug, or no thread can be had
            get_logger().exception("task failed", task="watch")
        else:
            return
        await asyncio.sleep(WATCH_AGAIN_S)


def _ready_line(context: Context) -> Callable[[], None]:
    """What is said once, when there is data for the first time."""
    is_said = False
    scheme = "http" if context.settings.http_tls_cert is None else "https"

    def say() -> None:
        nonlocal is_said
        table = context.publisher.current.table
        if is_said or table is None:
            return
        is_said = True
        get_logger().info(
            "ready",
            vrps=table.vrp_count,
            router_keys=len(table.router_keys),
            aspas=len(table.aspas),
            rtr=" ".join(context.rtr_addresses) or "off",
            look=f"curl {scheme}://{context.http_addresses[0]}/clients" if context.http_addresses else "HTTP is off",
        )

    return say


def _watch_signals(loader: Updater, doors: Doors, tls: HttpTls | None) -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, loader, doors, tls)
    loop.add_signal_handler(signal.SIGUSR1, loader.accept)
    return stopping


def _reload(loader: Updater, doors: Doors, tls: HttpTls | None) -> None:
    get_logger().info("reload asked for")
    doors.reload()
    if tls is not None:
        tls.reload()
    loader.trigger()


def _nothing_published(settings: Settings) -> Published:
    return Published(Timing(settings.refresh, settings.retry, settings.expire), new_session_ids())


def _close_all(sockets: dict[str, list[socket.socket]]) -> None:
    for sock in chain.from_iterable(sockets.values()):
        sock.close()


def _give_memory_back() -> None:
    """What is mapped goes back when it is freed; glibc would raise the threshold by itself, and keep the next image."""
    with contextlib.suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


def _raise_descriptor_limit() -> None:
    """A router is a descriptor: use all that the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
