"""A node: one device or relay as a pure state machine.

`handle(event, now)` takes what happened and returns what to do; `next_timer` says when `TimeReached` is due. The parts
below share one `NodeState`:

- `greeting`: the access log on links, and who is served;
- `intake`: change sets from outside, to their outcome;
- `push`: change sets to peers;
- `presence`: sealed messages that nobody stores;
- `direct`: who is there, and which direct paths to open.

Invariants:

1. Bytes that break the protocol end the link they came on and change nothing else.
2. A set is pushed by a device only after that device has stored its own sets, and only to peers with a right to it.
3. Every subscribed peer was sent, announced, or will be sent from the store, each set that became known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core import events as happened
from lichen.core.direct import Direct
from lichen.core.effects import CloseLink, DeliverMail, Effect, ReadMail, Send, StoreMail, TellPeers
from lichen.core.greeting import Greeting
from lichen.core.intake import Intake, known_of
from lichen.core.links import LinkState
from lichen.core.presence import Presence
from lichen.core.push import Push
from lichen.core.space import SpaceState
from lichen.core.state import NodeState, blinded
from lichen.crypto.identity import Identity
from lichen.errors import ProtocolError
from lichen.ids import Session
from lichen.wire import frames

POSITION_INTERVAL_S = 1.0
"""How often peers are told how far they have been served."""


class Node:
    """One device or relay.

    `identity` is the node's keys, `session` its 16-byte nonce of this process start, `store` the 16 bytes naming its
    store,
    `seed` 32 random bytes from which salts are drawn.
    """

    def __init__(
        self,
        identity: Identity,
        session: Session,
        store: bytes,
        seed: bytes,
        *,
        relay: bool = False,
        token: bytes = b"",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.state = NodeState(identity, session, store, relay, limits, token)
        self._greeting = Greeting(self.state)
        self._push = Push(self.state)
        self._intake = Intake(self.state, self._push.distribute)
        self._presence = Presence(self.state, seed)
        self._direct = Direct(self.state)
        self._report_at: float | None = None
        self._events = self._event_table()
        self._messages = self._message_table()

    def _event_table(self) -> dict[type[happened.Event], Callable[[Any], object]]:
        """What each event goes to."""
        return {
            happened.LinkOpened: self._link_opened,
            happened.LinkLost: self._link_lost,
            happened.LinkCongested: self._congested,
            happened.LinkDrained: self._drained,
            happened.MessageArrived: self._message_arrived,
            happened.SpaceLoaded: self._space_loaded,
            happened.SpaceLeft: self._space_left,
            happened.OperationsAuthored: self._operations_authored,
            happened.SetSealed: self._set_sealed,
            happened.SetsChecked: self._sets_checked,
            happened.SetsNotStored: lambda event: self._intake.lost(self.state.spaces[event.space], event.ids),
            happened.CursorRead: self._push.cursor_read,
            happened.CursorStored: self._push.cursor_stored,
            happened.CatchUpRead: self._push.catch_up_read,
            happened.SetsRead: self._push.sets_read,
            happened.PositionRead: self._push.position_read,
            happened.PositionNotRead: self._push.position_not_read,
            happened.PresenceSet: lambda event: self._presence.set(event.space, event.doc, event.payload),
            happened.SignalWritten: lambda event: self._presence.signal(event.peer, event.payload),
            happened.DirectFailed: lambda event: self._direct.failed(event.peer),
            happened.DirectEnabled: lambda _event: self._direct.enable(),
            happened.MailWritten: self._mail_written,
            happened.MailRead: self._mail_read,
            happened.TimeReached: lambda _event: self._time_reached(),
        }

    def _message_table(self) -> dict[type[frames.Message], Callable[[LinkState, Any], object]]:
        """What each message goes to."""
        return {
            frames.Hello: self._hello,
            frames.Access: self._access,
            frames.Pull: self._pull,
            frames.Sets: self._intake.sets,
            frames.Announce: self._push.announced,
            frames.Graft: self._push.graft,
            frames.Prune: self._push.prune,
            frames.Position: self._intake.position,
            frames.Settled: self._push.settled,
            frames.Ephemeral: self._presence.arrived,
            frames.Peers: self._direct.peers,
            frames.Mail: self._mail,
            frames.Beat: lambda _link, _message: None,
            frames.Refused: self._refused,
        }

    def _refused(self, link: LinkState, message: frames.Refused) -> None:
        """The peer will not serve a space: kept, so that who waits for it can be told why."""
        if message.space in self.state.spaces:
            link.on(message.space).refusal = message.reason
            self.state.emit(TellPeers(message.space))

    def handle(self, event: happened.Event, now: float) -> list[Effect]:
        """Change the state by one event at the time `now`, in monotonic seconds, and return the effects, in order."""
        self.state.now = now
        if self._of_no_space(event):
            return []
        self._events[type(event)](event)
        if self._report_at is None and any(space.unreported for space in self.state.spaces.values()):
            self._report_at = now + POSITION_INTERVAL_S
        effects, self.state.effects = self.state.effects, []
        return effects

    def _of_no_space(self, event: happened.Event) -> bool:
        """Whether it is of a space that was left while it was on its way."""
        space = getattr(event, "space", None)
        return space is not None and space not in self.state.spaces and not isinstance(event, happened.SpaceLoaded)

    @property
    def next_timer(self) -> float | None:
        """When `TimeReached` should be handled, in monotonic seconds; None when nothing is due."""
        due = [*self._presence.timers(), *self._direct.timers()]
        for link in self.state.links.values():
            for on_link in link.spaces.values():
                due.extend(on_link.missing.values())
                if on_link.pull_again is not None:
                    due.append(on_link.pull_again)
        if self._report_at is not None:
            due.append(self._report_at)
        return min(due, default=None)

    def _sets_checked(self, event: happened.SetsChecked) -> None:
        for link in self._intake.checked(event):
            self.state.emit(CloseLink(link, "sent a change set that its author did not sign"))

    # Links

    def _link_opened(self, event: happened.LinkOpened) -> None:
        link = LinkState(event.link, event.peer, event.path, event.handshake_hash, event.dialled, event.token)
        self.state.links[link.id] = link
        spaces = () if self.state.relay else tuple(blinded(link.handshake_hash, space) for space in self.state.spaces)
        self.state.emit(
            Send(link.id, frames.Hello(frames.VERSION, self.state.relay, self.state.store, link.token, spaces))
        )
        self._direct.opened(link.peer)

    def _link_lost(self, event: happened.LinkLost) -> None:
        link = self.state.links.pop(event.link, None)
        if link is None:
            return
        self._push.link_lost(link)
        for space_id in link.spaces:
            space = self.state.spaces.get(space_id)
            if space is not None:
                self._direct.tell_peers(space)
                self.state.emit(TellPeers(space_id))
        self._direct.evaluate()

    def _congested(self, event: happened.LinkCongested) -> None:
        link = self.state.links.get(event.link)
        if link is not None:
            link.congested = True

    def _drained(self, event: happened.LinkDrained) -> None:
        link = self.state.links.get(event.link)
        if link is None:
            return
        self._push.drained(link)
        self._greeting.drained(link)
        if self.state.relay:
            self.state.emit(ReadMail(link.id, link.peer))

    # Messages

    def _message_arrived(self, event: happened.MessageArrived) -> None:
        link = self.state.links.get(event.link)
        if link is None:
            return
        try:
            self._message(link, event.message)
        except ProtocolError as error:
            self.state.emit(CloseLink(link.id, str(error)))

    def _message(self, link: LinkState, message: frames.Message) -> None:
        if link.hello is None and not isinstance(message, frames.Hello):
            raise ProtocolError("a message came before the peer said hello")
        space = getattr(message, "space", None)
        if space is not None and space not in link.spaces and len(link.spaces) >= self.state.limits.spaces:
            raise ProtocolError(f"the peer names more than {self.state.limits.spaces} spaces")
        self._messages[type(message)](link, message)

    def _hello(self, link: LinkState, message: frames.Hello) -> None:
        if link.hello is not None:
            raise ProtocolError("the peer said hello twice")
        self._greeting.hello(link, message)
        if self.state.relay:
            self.state.emit(ReadMail(link.id, link.peer))

    def _access(self, link: LinkState, message: frames.Access) -> None:
        grown = self._greeting.access(link, message)
        space = self.state.spaces.get(message.space)
        if grown is not None:
            self._log_grown(grown)
        elif space is not None and message.operations:  # an operation may have been found invalid
            self._intake.released(space)

    def _log_grown(self, space: SpaceState) -> None:
        self._greeting.grown(space)
        for link, pull in self._push.awaited(space):
            self._pull(link, pull)
        self._intake.released(space)
        self._direct.tell_peers(space)
        self._direct.evaluate()

    def _pull(self, link: LinkState, message: frames.Pull) -> None:
        space = self._push.pull(link, message)
        if space is not None:
            self._direct.tell_peers(space)
            self._presence.newcomer(link, space)
            self.state.emit(TellPeers(space.id))

    def _mail(self, link: LinkState, message: frames.Mail) -> None:
        sender = message.sender if link.relay else link.peer
        if message.to == self.state.device:
            self.state.emit(DeliverMail(link.id, sender, message.body))
        elif self.state.relay:
            self._forward_mail(frames.Mail(message.to, sender, message.body))

    def _forward_mail(self, mail: frames.Mail) -> None:
        for link in self.state.links.values():
            if link.peer == mail.to and not link.congested:
                self.state.emit(Send(link.id, mail))
                return
        self.state.emit(StoreMail(mail.to, mail.sender, mail.body))

    # What this node's own application does

    def _space_loaded(self, event: happened.SpaceLoaded) -> None:
        if self.state.relay and not event.operations:
            return  # a crash came before its genesis was kept: it is admitted anew
        space = self.state.begin(event.space, event.inviter)
        for operation in event.operations:
            space.log.add(operation)
        for set_id, known in event.sets:
            space.add(set_id, known)
        space.keys.update(event.keys)
        self._greeting.learn_keys(space)
        self._greeting.begun(space)

    def _space_left(self, event: happened.SpaceLeft) -> None:
        """Forget it, and meet the peers that had it in common anew: nothing else ends what they push."""
        del self.state.spaces[event.space]
        self._presence.left(event.space)
        for link in self.state.links.values():
            if link.spaces.pop(event.space, None) is not None:
                self.state.emit(CloseLink(link.id, "this device has left a space"))

    def _operations_authored(self, event: happened.OperationsAuthored) -> None:
        space = self.state.spaces[event.space]
        if self._greeting.add(space, list(event.operations)):
            self._log_grown(space)

    def _set_sealed(self, event: happened.SetSealed) -> None:
        space = self.state.spaces[event.space]
        space.add(event.set.id, known_of(event.set, event.last_hash))
        self._push.distribute(space, [event.set], {})

    def _mail_read(self, event: happened.MailRead) -> None:
        link = self.state.links.get(event.link)
        for sender, body in event.mails if link is not None else ():
            self.state.emit(Send(event.link, frames.Mail(self.state.links[event.link].peer, sender, body)))

    def _mail_written(self, event: happened.MailWritten) -> None:
        """Over the link to that device itself where there is one, else by every relay."""
        mail = frames.Mail(event.to, self.state.device, event.body)
        links = [link for link in self.state.links.values() if link.peer == event.to]
        for link in links[:1] or [link for link in self.state.links.values() if link.relay]:
            self.state.emit(Send(link.id, mail))

    def _time_reached(self) -> None:
        if self._report_at is not None and self._report_at <= self.state.now:
            self._report_at = None
            self._push.report_positions()
        self._push.graft_due()
        self._presence.renew()
        self._direct.evaluate()
