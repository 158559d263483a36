"""The driver: feeds events to the node, carries out its effects, and re-arms one timer.

Everything runs on one event loop. Work that is long (checks of many change sets, disk) is done on threads, and comes
back as an event. All tasks belong to one group, which `Driver.run` owns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection

from lichen.config import Limits
from lichen.core import effects as do
from lichen.core import events as happened
from lichen.core.links import LinkState
from lichen.core.node import Node
from lichen.errors import StoreError
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.runtime import catch_up_rows, checking, rows
from lichen.runtime.link import Handshaken, Link, Tap
from lichen.store import Store
from lichen.store.loan import outside
from lichen.transport import Channel
from lichen.turns import in_turn
from lichen.wire.frames import Message

log = logging.getLogger("lichen.driver")

DRAIN_S = 1.0
"""How long closing waits for what is queued on links to leave."""


class Application(Protocol):
    """What stands above the driver: the engine of a device, or a relay."""

    def sets_accepted(self, effect: do.StoreSets) -> None:
        """Change sets count: apply their changes. Their storage is already queued."""

    def sets_lost(self, space: SpaceId, docs: set[DocId]) -> None:
        """Change sets that were applied could not be stored: forget the documents in memory."""

    def tell(self, effect: do.Effect) -> None:
        """Something for people to know."""

    def connect_direct(self, peer: DeviceKey, *, offers: bool) -> None:
        """Open a direct path."""

    def signal(self, peer: DeviceKey, payload: bytes) -> None:
        """A peer negotiates a direct path."""

    def mail(self, sender: DeviceKey, body: bytes) -> None:
        """Mail came for this device."""


class Driver:
    """Runs one node."""

    def __init__(
        self, node: Node, store: Store, application: Application, limits: Limits, *, tap: Tap | None = None
    ) -> None:
        self.node = node
        self.store = store
        self.limits = limits
        self.links: dict[int, Link] = {}
        self.traffic: dict[str, list[int]] = {}
        """Bytes sent and received by links that have ended, by path."""
        self._application = application
        self._tap = tap
        self._events: deque[happened.Event] = deque()
        self._feeding = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._unstored_mail: Counter[DeviceKey] = Counter()
        self._losses = 0  # writes of change sets that failed, counted on the thread that writes, or that cannot queue
        self._losses_gate = threading.Lock()
        self._losses_known = 0  # those that the node has heard of
        self._next_link = 1
        self._closed = False

    # Tasks

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tasks run within this block. What is raised in the block itself leaves it as it is, not in a group."""
        raised: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            except Exception as error:
                raised = error
        if raised is not None:
            raise raised

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Run something in the driver's group; a failure is logged and ends only that task."""
        if self._tasks is None or self._closed:
            work.close()
            return None
        task = self._tasks.create_task(self._guard(work, name), name=name, context=outside())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before its first step
        return task

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except Exception:
            log.exception("%s failed", name)

    async def close(self) -> None:
        """Let what is queued leave, then end every link and task, and stop taking events."""
        deadline = self._loop.time() + DRAIN_S
        while self._loop.time() < deadline and any(link.queued for link in self.links.values()):
            await asyncio.sleep(0.005)
        self._closed = True
        for link in self.links.values():
            link.close("this side is closing")
        if self._timer is not None:
            self._timer.cancel()
        ending = [task for task in self._running if task is not asyncio.current_task()]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    # Events

    def feed(self, event: happened.Event) -> None:
        """Handle an event, and whatever carrying out its effects brings about, before returning."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events:
                for effect in self.node.handle(self._events.popleft(), self._loop.time()):
                    self._carry_out(effect)
        finally:
            self._feeding = False
        self._arm()

    def feed_soon(self, event: happened.Event) -> None:
        """`feed` from another thread; after the loop has closed it does nothing."""
        try:
            self._loop.call_soon_threadsafe(self._feed_unless_closed, event)
        except RuntimeError:
            log.debug("an event came after the loop had closed")

    def _feed_unless_closed(self, event: happened.Event) -> None:
        if not self._closed:
            self.feed(event)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.node.next_timer
        if due is not None and not self._closed:
            self._timer = self._loop.call_at(max(due, self._loop.time() + 0.001), self.feed, happened.TimeReached())

    # Effects

    def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.Send():
                link = self.links.get(effect.link)
                if link is not None:
                    link.send(effect.message)
            case do.CheckSets():
                self._check(effect)
            case do.StoreSets():
                self._store_sets(effect)
                self._application.sets_accepted(effect)
            case do.CloseLink():
                self._close_link(effect)
            case do.ReadCatchUp():
                self.spawn(self._catch_up(effect), "catch-up")
            case do.ConnectDirect():
                self._application.connect_direct(effect.peer, offers=effect.offers)
            case do.DeliverSignal():
                self._application.signal(effect.peer, effect.payload)
            case do.DeliverMail():
                self._application.mail(effect.sender, effect.body)
            case (
                do.TellSpace()
                | do.TellPeers()
                | do.TellPresence()
                | do.TellCaughtUp()
                | do.TellServed()
                | do.TellInvalid()
            ):
                self._application.tell(effect)
            case do.TellSplit():
                author, doc = effect.author.hex()[:12], effect.doc.hex()
                log.warning(
                    "device %s wrote %d change sets at one place of document %s", author, len(effect.branches), doc
                )
            case _:
                self._use_store(effect)

    def _use_store(self, effect: do.Effect) -> None:
        match effect:
            case do.StoreOperations():
                self._write(lambda conn: rows.store_operations(conn, effect))
            case do.StoreKeys():
                self._write(lambda conn: rows.store_keys(conn, effect))
            case do.StoreSpace():
                self._write(lambda conn: rows.store_space(conn, effect.space))
            case do.StoreCursor():
                self._store_cursor(effect)
            case do.StoreMail():
                self._store_mail(effect)
            case do.ReadCursor():
                self._ask(lambda conn: catch_up_rows.read_cursor(conn, effect), effect.link)
            case do.ReadSets():
                self._ask(lambda conn: catch_up_rows.read_sets(conn, effect, self.limits))
            case do.ReadPosition():
                not_read = happened.PositionNotRead(effect.space)
                self._ask(lambda conn: catch_up_rows.read_position(conn, effect), failed=not_read)
            case do.ReadMail():
                self._ask(lambda conn: rows.take_mail(conn, effect))

    def _write(self, job: Callable[[Any], object]) -> None:
        self.store.write_soon(job, self._written)

    def _store_cursor(self, effect: do.StoreCursor) -> None:
        """Move a cursor, unless change sets were lost that the node still took for stored when it said so."""
        losses = self._losses_known

        def job(conn: Connection) -> happened.Event:
            if self._losses != losses:
                raise StoreError("change sets before it could not be stored")
            return catch_up_rows.store_cursor(conn, effect)

        self._ask(job, effect.link)

    def _store_mail(self, effect: do.StoreMail) -> None:
        """Keep a mail, unless too many of its sender wait for the disk already."""
        if self._unstored_mail[effect.sender] >= self.limits.mail_unstored:
            return
        self._unstored_mail[effect.sender] += 1

        def done(result: object, error: BaseException | None) -> None:
            self._written(result, error)
            with contextlib.suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(self._mail_stored, effect.sender)

        self.store.write_soon(lambda conn: rows.store_mail(conn, effect, self.limits), done)

    def _mail_stored(self, sender: DeviceKey) -> None:
        self._unstored_mail[sender] -= 1
        if not self._unstored_mail[sender]:
            del self._unstored_mail[sender]

    def _written(self, _result: object, error: BaseException | None) -> None:
        if error is not None:
            log.error("the store could not keep something: %s", error)

    def _ask(
        self, job: Callable[[Any], happened.Event], link: int | None = None, failed: happened.Event | None = None
    ) -> None:
        """Read behind all writes that are queued already, and feed the answer.

        Without an answer `failed` is fed, and a `link` that goes on only with it is ended: the next one asks again.
        """

        def done(event: happened.Event | None, error: BaseException | None) -> None:
            if event is not None:
                self.feed_soon(event)
                return
            self._written(None, error)
            if failed is not None:
                self.feed_soon(failed)
            if link is not None:
                self._loop.call_soon_threadsafe(self._close_link, do.CloseLink(link, f"the store failed: {error}"))

        self.store.write_soon(job, done)

    def _check(self, effect: do.CheckSets) -> None:
        if checking.small(effect.sets):
            self.feed(happened.SetsChecked(effect.space, checking.check(effect.sets)))
        else:
            self.spawn(self._check_on_thread(effect), "check")

    async def _check_on_thread(self, effect: do.CheckSets) -> None:
        checked = await asyncio.to_thread(in_turn, checking.check, effect.sets)
        self.feed(happened.SetsChecked(effect.space, checked))

    def _store_sets(self, effect: do.StoreSets) -> None:
        def done(_result: object, error: BaseException | None) -> None:
            if error is not None:
                with self._losses_gate:
                    self._losses += 1
                log.error("change sets could not be stored: %s", error)
                self._loop.call_soon_threadsafe(self._sets_lost, effect)

        self.store.write_soon(lambda conn: rows.store_sets(conn, effect), done)

    def _sets_lost(self, effect: do.StoreSets) -> None:
        self.feed(happened.SetsNotStored(effect.space, tuple(item.set.id for item in effect.sets)))
        self._losses_known += 1
        self._application.sets_lost(effect.space, {item.set.header.doc for item in effect.sets})

    async def _catch_up(self, effect: do.ReadCatchUp) -> None:
        """Read what a peer lacks. When that fails the link ends: it would get nothing more, and the next asks again."""
        try:
            await self._read_catch_up(effect)
        except StoreError as error:
            self._close_link(do.CloseLink(effect.link, f"the store failed: {error}"))

    async def _read_catch_up(self, effect: do.ReadCatchUp) -> None:
        """Batch by batch, waiting for its link to have room."""
        planned = self.store.write(lambda conn: catch_up_rows.plan_catch_up(conn, effect))
        numbers, position = await asyncio.wrap_future(planned)
        batches = catch_up_rows.batches(numbers, self.limits.catch_up_batch_bytes)
        for index, batch in enumerate(batches):
            link = self.links.get(effect.link)
            if link is None:
                return
            await link.room()
            bodies = await asyncio.wrap_future(self.store.read(partial(catch_up_rows.bodies, numbers=batch)))
            done = index == len(batches) - 1
            self.feed(happened.CatchUpRead(effect.link, effect.space, bodies, position, done))
        if not batches:
            self.feed(happened.CatchUpRead(effect.link, effect.space, (), position, True))

    # Links

    def _close_link(self, effect: do.CloseLink) -> None:
        link = self.links.get(effect.link)
        if link is not None:
            log.warning("closing the link with %s: %s", link.peer.hex()[:12], effect.reason)
            link.close(effect.reason)

    async def run_link(self, channel: Channel, hands: Handshaken, *, dialled: bool, token: bytes = b"") -> str:
        """Serve an authenticated channel until it ends; returns why it did."""
        number = self._next_link
        self._next_link += 1
        link = Link(
            number,
            channel,
            hands,
            self.limits,
            arrived=self._arrived,
            congested=lambda number: self.feed(happened.LinkCongested(number)),
            drained=lambda number: self.feed(happened.LinkDrained(number)),
            tap=self._tap,
        )
        self.links[number] = link
        self.feed(happened.LinkOpened(number, hands.peer, channel.path, hands.hash, dialled, token))
        try:
            await link.run()
        finally:
            del self.links[number]
            ended = self.traffic.setdefault(channel.path, [0, 0])
            ended[0] += link.bytes_sent
            ended[1] += link.bytes_received
            if not self._closed:
                self.feed(happened.LinkLost(number))
        log.info("the %s link with %s ended: %s", channel.path, hands.peer.hex()[:12], link.reason)
        return link.reason

    def _arrived(self, number: int, message: Message) -> None:
        self.feed(happened.MessageArrived(number, message))

    def up_to_date(self, dialled: int) -> bool:
        """Whether that many dialled links are there, and both ends of each have all that the other has."""
        links = [link for link in self.node.state.links.values() if link.dialled]
        return len(links) >= dialled and all(self._level(link) for link in links)

    def _level(self, link: LinkState) -> bool:
        if not link.relay:
            return link.hello is not None and all(s.served and s.caught_up for s in link.spaces.values() if s.pulled)
        spaces = self.node.state.spaces
        if any(space.unreported for space in spaces.values()):
            return False
        on_link = [link.spaces.get(space_id) for space_id in spaces]
        return all(s is not None and s.served and s.caught_up for s in on_link)

    def refusals(self) -> list[str]:
        """Why peers that are connected will not serve spaces of this node, in their own words."""
        on_links = (on_link for link in self.node.state.links.values() for on_link in link.spaces.values())
        return sorted({on_link.refusal for on_link in on_links if on_link.refusal})

    def bytes_by_path(self) -> dict[str, tuple[int, int]]:
        """Bytes sent and received over each kind of path since the start, frames as sealed."""
        total = {path: list(counts) for path, counts in self.traffic.items()}
        for link in self.links.values():
            counts = total.setdefault(link.channel.path, [0, 0])
            counts[0] += link.bytes_sent
            counts[1] += link.bytes_received
        return {path: (sent, received) for path, (sent, received) in total.items()}
