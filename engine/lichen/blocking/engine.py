"""The engine of one device, for programs without an event loop."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from lichen_crdt import Value

from lichen.api.engine import Durability
from lichen.api.engine import Engine as AsyncEngine
from lichen.api.events import Event
from lichen.api.paths import PeerPath
from lichen.api.space import DocumentInfo
from lichen.blocking.connection import Connection
from lichen.blocking.document import Document
from lichen.blocking.events import Events
from lichen.blocking.host import Host
from lichen.blocking.space import Space
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.runtime.join_progress import JoinProgress

P = ParamSpec("P")
T = TypeVar("T")


class Engine:
    """One device's engine: its spaces, documents and connections. Open it with `Engine.open`.

    It may be used from any thread. It is a context manager, which closes it; at the latest it closes when the main
    thread ends. Raises `EngineMisuse` after that, in a forked process, and on its own loop's thread.
    """

    def __init__(self, host: Host[AsyncEngine]) -> None:
        self._host = host
        self.asynchronous = host.value
        """The engine below, to be used on the loop: through `run` and `call`."""

    # Opening

    @classmethod
    def open(
        cls,
        url: str,
        *,
        passphrase: str | None = None,
        create: bool = True,
        durability: Durability = "process",
        limits: Limits = DEFAULT_LIMITS,
        clear_rows: bool = False,
    ) -> Engine:
        """Open the store at `url` (`sqlite:///notes.db`), made when it is not there and `create` holds.

        With no passphrase the store's key lies in a file beside it, readable to this user only. A store in PostgreSQL
        (`postgresql://user@host/database`) needs a passphrase, and `clear_rows=True`: that tables of the application
        may lie there as they are. Raises `StoreError`, and `ConfigError`.
        """
        opening = AsyncEngine.open(
            url, passphrase=passphrase, create=create, durability=durability, limits=limits, clear_rows=clear_rows
        )
        return cls(Host(opening, "this engine"))

    def close(self) -> None:
        """Save what is under way, end every link, and close the store; idempotent. Waits for that."""
        self._host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The loop

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function on the loop, and wait for its result: for what has no blocking form.

        Raises `StoreError` on a thread that has a session open which has written: it would wait for itself.
        """
        self._host.refuse_wrong_place()
        self.asynchronous.store.refuse_borrower()
        return self._host.run(function, *args, **kwargs)

    def submit(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a coroutine function on the loop, and wait for nothing: its result is that of the future."""
        self._host.refuse_wrong_place()
        return self._host.submit(function(*args, **kwargs))

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on the loop, and wait for its result."""
        return self._host.call(function, *args, **kwargs)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function on the loop, without waiting for it."""
        self._host.call_soon(function)

    def before_close(self, call: Callable[[], object]) -> Callable[[], object]:
        """Have something called when this begins to close, on the thread that closes it: what is to be written still.

        Returns what forgets it. What it raises is logged, and keeps nothing from closing.
        """
        return self._host.before_close(call)

    def events_of(self, source: Callable[[], AsyncGenerator[T, None]]) -> Events[T]:
        """What an asynchronous generator gives, from now on: `source` is called on the loop."""
        self._host.refuse_wrong_place()
        return Events(self._host, source)

    # What is here

    @property
    def limits(self) -> Limits:
        """What it accepts, keeps and waits for."""
        return self.asynchronous.limits

    @property
    def device(self) -> DeviceKey:
        """This device's key: its peer id."""
        return self.asynchronous.device

    def derive_secret(self, purpose: str) -> bytes:
        """32 secret bytes for the application's own use, the same in every run on this device.

        Each purpose has its own; they tell nothing about the device's keys.
        """
        return self.asynchronous.derive_secret(purpose)

    @property
    def spaces(self) -> list[Space]:
        """Every space on this device, in the order in which they came to it."""
        return [Space(self, space) for space in self.call(lambda: self.asynchronous.spaces)]

    def space(self, space_id: SpaceId) -> Space:
        """A space by its id. Raises `NotFound`."""
        return Space(self, self.call(self.asynchronous.space, space_id))

    def may_write(self, space_id: SpaceId) -> bool:
        """Whether this device may write in a space, as far as it knows."""
        return self.call(self.asynchronous.may_write, space_id)

    def document(self, doc: DocId) -> Document:
        """A document by its id, loaded if need be. Raises `NotFound`."""
        return Document(self, self.run(self.asynchronous.document, doc))

    def wait_for_document(self, space_id: SpaceId, doc: DocId, wait_s: float) -> None:
        """Return when a document's first change set is here, or the time is over."""
        self.run(self.asynchronous.wait_for_document, space_id, doc, wait_s)

    def list_documents(self, space_id: SpaceId) -> list[DocumentInfo]:
        """What a space holds, most recently changed first; without its card."""
        return self.run(self.asynchronous.list_documents, space_id)

    def count_sets(self, doc: DocId) -> int:
        """How many change sets of a document are here."""
        return self.run(self.asynchronous.count_sets, doc)

    # Making

    def create_space(self, name: str, *, member_name: str = "") -> Space:
        """A new space of which this device's member is the owner.

        The handle that is returned carries the recovery key as text; it is shown this once, and kept nowhere. Raises
        `ConfigError` for a name, and `LimitExceeded`.
        """
        return Space(self, self.run(self.asynchronous.create_space, name, member_name=member_name))

    def create_document(self, space_id: SpaceId, content: Mapping[str, Value]) -> Document:
        """A new document in a space. Content that cannot be in a document is refused, and makes none."""
        return Document(self, self.run(self.asynchronous.create_document, space_id, content))

    def name_member(self, space_id: SpaceId, name: str) -> None:
        """Write on a space's card what this member calls itself.

        Raises `NotFound` while the card is not here, and `ConfigError`.
        """
        self.run(self.asynchronous.name_member, space_id, name)

    def open_space(
        self,
        new: str,
        ticket: str = "",
        *,
        name: str = "",
        own: bool = False,
        timeout_s: float | None = None,
        progress: Callable[[JoinProgress], object] | None = None,
    ) -> Space:
        """The space of a program that shows one: that of the ticket, joined as by `join`, whatever is here already.

        Without a ticket it is the space that came to this device last, or with `own` the last of which this member is
        an owner. Where there is none, it is a new one, called `new`; but not after a join that was interrupted or not
        answered, unless with `own`: that raises `ConfigError`. `name` is what this member calls itself. Raises what
        `join` and `create_space` raise.
        """
        opening = self.asynchronous.open_space
        found = self.run(opening, new, ticket, name=name, own=own, timeout_s=timeout_s, progress=progress)
        return Space(self, found)

    def join(
        self,
        ticket: str,
        *,
        name: str = "",
        timeout_s: float | None = None,
        progress: Callable[[JoinProgress], object] | None = None,
    ) -> Space:
        """Join the space of a ticket: waits until its issuer has answered and the space's card is here.

        While it waits, `progress` is called on the engine's thread every few seconds, with what can be shown as text;
        it hands that on to another thread, and calls nothing of the engine. Raises `TicketError`, `ConfigError`,
        `LimitExceeded`, and `Unreachable` when nobody has answered after `timeout_s` seconds.
        """
        joining = self.asynchronous.join
        return Space(self, self.run(joining, ticket, name=name, timeout_s=timeout_s, progress=progress))

    def leave(self, space_id: SpaceId) -> None:
        """Take a space off this device: its documents, and what applications made of them, go.

        Nothing of it comes any more, unless this device joins again. The members still list it, and what it wrote and
        nobody has fetched is lost. Raises `NotFound`; and what keeps a row from being deleted: then nothing is left.
        """
        self.run(self.asynchronous.leave, space_id)

    # Paths

    def connect(self, url: str, *, remember: bool = False) -> Connection:
        """Dial an address, a relay's or a device's, from now on and again whenever the link ends.

        With `remember`, once it has been reached, `connect_remembered` dials it after a restart. Raises `ConfigError`.
        """
        return Connection(self, self.run(self.asynchronous.connect, url, remember=remember))

    def connect_remembered(self) -> list[Connection]:
        """Dial every remembered address that is not dialled already, and of a kind that this device knows."""
        return [Connection(self, dialled) for dialled in self.run(self.asynchronous.connect_remembered)]

    def remembered(self) -> list[str]:
        """The addresses that are dialled after a restart."""
        return self.run(self.asynchronous.remembered)

    @property
    def up_to_date(self) -> bool:
        """Every dialled address is connected, has stored all that this device has, and has nothing more for it."""
        return self.call(lambda: self.asynchronous.up_to_date)

    @property
    def unreached(self) -> list[Connection]:
        """The dialled addresses that were tried, and are not connected."""
        return [Connection(self, dialled) for dialled in self.call(lambda: self.asynchronous.unreached)]

    @property
    def reached_up_to_date(self) -> bool:
        """As `up_to_date`, for the addresses that can be reached: every one was tried, and at least one is there."""
        return self.call(lambda: self.asynchronous.reached_up_to_date)

    @property
    def refusals(self) -> list[str]:
        """Why peers that are connected will not serve spaces of this device, in their own words."""
        return self.call(lambda: self.asynchronous.refusals)

    @property
    def connections(self) -> list[Connection]:
        """Every address that is dialled."""
        return [Connection(self, dialled) for dialled in self.call(lambda: self.asynchronous.connections)]

    def listen(self, url: str, *, required: bool = True) -> str:
        """Accept links at an address; returns it with the port that was bound. Raises `Unreachable`.

        If it is not `required`, since the program is of use without, an address that cannot be had is logged as a
        warning, and nothing is returned.
        """
        return self.run(self.asynchronous.listen, url, required=required)

    def use_direct(self, scheme: str = "webrtc") -> None:
        """Open direct paths to other devices where possible. Raises `ConfigError` when the transport is missing."""
        self.call(self.asynchronous.use_direct, scheme)

    def paths(self, space_id: SpaceId) -> list[PeerPath]:
        """Every other device of a space, and how it can be reached now."""
        return self.call(self.asynchronous.paths, space_id)

    @property
    def traffic(self) -> dict[str, tuple[int, int]]:
        """Bytes sent and received over each kind of path since the engine was opened."""
        return self.call(lambda: self.asynchronous.traffic)

    def settled(self) -> None:
        """Return when everything in memory is saved, sealed and applied. Raises `EngineMisuse` in a transaction."""
        self.call(self.asynchronous.refuse_holder, threading.current_thread())
        self.run(self.asynchronous.settled)

    # Events

    def events(self) -> Events[Event]:
        """What happens from now on, in all spaces: to iterate, or to be called back with."""
        return self.events_of(self.asynchronous.events)
