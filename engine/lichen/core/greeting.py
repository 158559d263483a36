"""The access log on links: it goes first, and decides who is served.

Each side tells its heads; whoever sees that the other lacks operations sends them. A peer that has no right yet is
remembered and looked at again whenever the log grows, since its right may be on its way.
"""

from __future__ import annotations

import hmac

from lichen.core.access.keys import open_keys
from lichen.core.access.log import Outcome
from lichen.core.effects import ReadCursor, Send, StoreKeys, StoreOperations, StoreSpace, TellInvalid, TellSpace
from lichen.core.links import LinkState, SpaceOnLink
from lichen.core.space import SpaceState
from lichen.core.state import NodeState, blinded
from lichen.crypto.signing import verify_many
from lichen.errors import InvalidOperation, ProtocolError
from lichen.ids import SpaceId
from lichen.wire.frames import Access, Hello, Refused
from lichen.wire.operation import Operation, OperationKind

MESSAGE_BYTES = 256 * 1024
"""A message of operations is closed when it reaches this size; only a single larger one may be longer."""


class Greeting:
    """Exchanges access logs on every link."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    def hello(self, link: LinkState, hello: Hello) -> None:
        """The peer said who it is: greet it in every space that both may have."""
        link.hello = hello
        if self._state.relay:
            return
        for space in self._state.spaces.values():
            if self._in_common(link, hello, space):
                self.greet(link, space)

    def _in_common(self, link: LinkState, hello: Hello, space: SpaceState) -> bool:
        return link.relay or blinded(link.handshake_hash, space.id) in hello.blinded

    def greet(self, link: LinkState, space: SpaceState) -> None:
        """Tell the peer our heads, once."""
        on_link = link.on(space.id)
        if not on_link.greeted:
            on_link.greeted = True
            self._state.emit(Send(link.id, Access(space.id, space.log.heads, ())))

    def begun(self, space: SpaceState) -> None:
        """A space is new here: greet whoever may have it."""
        for link in self._state.links.values():
            if link.hello is None or self._state.relay:
                continue
            if link.relay or link.peer == space.inviter or space.log.role_of(link.peer) is not None:
                self.greet(link, space)

    def access(self, link: LinkState, message: Access) -> SpaceState | None:
        """The peer told its heads, and perhaps operations. Returns the space when its log has grown."""
        on_link = link.on(message.space)
        space = self._state.spaces.get(message.space) or self._admit(link, message)
        if space is None:
            on_link.wanted = self._state.relay
            if self._state.relay and not on_link.greeted:
                on_link.greeted = True
                self._state.emit(Send(link.id, Access(message.space, (), ())))
            return None
        grown = self._take(link, space, message.operations)
        on_link.peer_heads = message.heads
        self._continue(link, space, on_link)
        return space if grown else None

    def _admit(self, link: LinkState, message: Access) -> SpaceState | None:
        """A relay takes a space that it does not know when it is shown a genesis, and the token it asks for."""
        state = self._state
        if not state.relay or not message.operations:
            return None
        if state.token and (link.hello is None or not hmac.compare_digest(link.hello.token, state.token)):
            state.emit(Send(link.id, Refused(message.space, "this relay admits new spaces only with its token")))
            return None
        if len(state.spaces) >= state.limits.relay_spaces:
            state.emit(Send(link.id, Refused(message.space, "this relay holds as many spaces as it may")))
            return None
        genesis = Operation.decode(message.operations[0])
        if genesis.kind is not OperationKind.GENESIS or SpaceId(genesis.id) != message.space:
            return None
        self._verified(message.operations)
        state.emit(StoreSpace(message.space))
        return state.begin(message.space)

    def _take(self, link: LinkState, space: SpaceState, bodies: tuple[bytes, ...]) -> bool:
        if not bodies or not (self._state.may_listen(link, space) or not space.log.heads):
            return False
        return self.add(space, self._verified(bodies, space))

    def _verified(self, bodies: tuple[bytes, ...], space: SpaceState | None = None) -> list[Operation]:
        """The operations in a message, but for those that the space knows. Raises `ProtocolError`."""
        if len(bodies) > 1 and sum(map(len, bodies)) > MESSAGE_BYTES:
            raise ProtocolError(f"a message carries more than {MESSAGE_BYTES} bytes of access operations")
        operations = [Operation.decode(body) for body in bodies]
        fresh = [operation for operation in operations if space is None or not space.log.known(operation.id)]
        if not all(verify_many([check for operation in fresh for check in operation.signature_checks()])):
            raise InvalidOperation("a signature in an access operation does not verify")
        return fresh

    def add(self, space: SpaceState, operations: list[Operation]) -> bool:
        """Add verified operations to the log; store those that became part of it. True when it has grown."""
        before = space.log.count
        for operation in operations:
            outcome = space.log.add(operation)
            if outcome is Outcome.INVALID:
                self._state.emit(TellInvalid(space.id, operation.id, space.log.reason(operation.id)))
        added = space.log.operations()[before:]
        if not added:
            return False
        self._state.emit(StoreOperations(space.id, tuple(added)))
        self.learn_keys(space)
        self._state.emit(TellSpace(space.id))
        return True

    def learn_keys(self, space: SpaceState) -> None:
        """Open every epoch key that is wrapped to this device, or sealed under one that is, and not yet known."""
        if self._state.relay:
            return
        opened = open_keys(space.log, self._state.identity, self._state.identity.sealing_key, space.keys)
        for epoch in opened.failed:
            self._state.emit(TellInvalid(space.id, epoch, "a wrapped epoch key does not open with this device's key"))
        space.keys.update(opened.keys)
        if opened.keys:
            self._state.emit(StoreKeys(space.id, tuple(opened.keys.items())))

    def grown(self, space: SpaceState) -> None:
        """The log has grown: tell every peer that lacks it, and look again at who has a right now."""
        for link, on_link in self._state.on_space(space.id):
            self._continue(link, space, on_link)
        self.begun(space)

    def _continue(self, link: LinkState, space: SpaceState, on_link: SpaceOnLink) -> None:
        state = self._state
        if not state.may_serve(link, space):
            if link.peer == space.inviter:
                return
            if not on_link.wanted:
                on_link.wanted = True
                state.emit(
                    Send(link.id, Refused(space.id, "your device is not in this space, as far as is known here"))
                )
            return
        on_link.wanted = False
        self.greet(link, space)
        level = not space.log.unknown(on_link.peer_heads)
        if not space.log.covers(on_link.peer_heads, space.log.heads):
            self._send_missing(link, space, on_link)
        if level and not on_link.pulled and space.log.heads:
            on_link.pulled = True
            state.emit(ReadCursor(link.id, link.peer, space.id))

    def drained(self, link: LinkState) -> None:
        """A congested link can take more."""
        for on_link in link.spaces.values():
            space = self._state.spaces.get(on_link.space)
            if space is not None and on_link.greeted and self._state.may_serve(link, space):
                self._continue(link, space, on_link)

    def _send_missing(self, link: LinkState, space: SpaceState, on_link: SpaceOnLink) -> None:
        """Send what the peer lacks, in messages of bounded size, each with the heads that it then has.

        To a congested link nothing: it is looked at again when it has drained.
        """
        if link.congested:
            return
        heads = dict.fromkeys(head for head in on_link.peer_heads if space.log.known(head))
        batch: list[bytes] = []
        size = 0
        for operation in space.log.since(on_link.peer_heads):
            body = operation.encode()
            if batch and size + len(body) > MESSAGE_BYTES:
                self._state.emit(Send(link.id, Access(space.id, tuple(sorted(heads)), tuple(batch))))
                batch, size = [], 0
            batch.append(body)
            size += len(body)
            for parent in operation.parents:
                heads.pop(parent, None)
            heads[operation.id] = None
        on_link.peer_heads = space.log.heads
        self._state.emit(Send(link.id, Access(space.id, space.log.heads, tuple(batch))))
