"""Every error that lichen raises, in one tree.

    LichenError
    ├── ConfigError            a setting or an argument is wrong
    ├── EngineMisuse           the engine was used where, or when, it cannot work
    ├── NotFound               no such space, document, device or ticket here
    ├── AccessDenied           this device lacks the right
    ├── LimitExceeded          a named limit of `lichen.config` was reached
    │   └── ChangeTooLarge     one transaction is too large for a change set; it was rolled back
    ├── StoreError             the database could not do it; nothing was changed
    │   ├── WrongPassphrase    the store's key does not open with this passphrase
    │   ├── StoreLocked        another process holds the store
    │   ├── StoreBusy          a session of this program has kept others from writing for too long
    │   ├── StoreReadOnly      the file or its folder cannot be written
    │   ├── StoreFull          no space is left on the disk
    │   └── StoreDamaged       pages or rows do not verify, or the schema is not known
    ├── ProtocolError          bytes from outside break the protocol
    │   ├── InvalidSignature
    │   ├── InvalidChangeSet
    │   ├── InvalidOperation
    │   ├── CannotOpen         no key, or the ciphertext does not verify under it
    │   └── HandshakeFailed
    ├── TicketError            a ticket is malformed, used, expired or refused
    ├── LinkError
    │   ├── Unreachable        nobody answered at an address
    │   ├── LinkClosed         closed on this side
    │   └── LinkBroken         closed or broken by the other side or the path
    └── TraceError             a recorded editing trace is malformed

The message of each says what happened and to what, its `hint` what to do.
"""

from __future__ import annotations


class LichenError(Exception):
    """The base of every error that lichen raises.

    The message says what happened and to what; `hint` says what to do, and may be empty. A traceback shows both.
    """

    hint: str

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(hint)

    @property
    def told(self) -> str:
        """What happened and what to do, as a line for a person."""
        return ": ".join(part for part in (str(self), self.hint) if part)


class ConfigError(LichenError):
    """A setting or an argument is wrong."""


class EngineMisuse(LichenError):
    """An engine was used after it was closed, in a fork, on another loop, or where it would wait for itself."""


class NotFound(LichenError):
    """There is no such space, document, device or ticket here."""


class AccessDenied(LichenError):
    """This device lacks the right to do that."""


class LimitExceeded(LichenError):
    """A named limit of `lichen.config` was reached."""


class ChangeTooLarge(LimitExceeded):
    """One transaction is too large for a change set; it was rolled back."""


class StoreError(LichenError):
    """The database could not do it; nothing was changed."""


class WrongPassphrase(StoreError):
    """The store's key does not open with this passphrase."""


class StoreLocked(StoreError):
    """Another process holds the store."""


class StoreBusy(StoreError):
    """A session of this program has written and not ended for too long, and this would have come after it."""


class StoreReadOnly(StoreError):
    """The store's file or its folder cannot be written."""


class StoreFull(StoreError):
    """No space is left on the disk."""


class StoreDamaged(StoreError):
    """Pages or rows do not verify, or the schema is not one this version knows."""


class ProtocolError(LichenError):
    """Bytes from outside break the protocol."""


class InvalidSignature(ProtocolError):
    """A signature, or the key it is to verify under, is not acceptable."""


class InvalidChangeSet(ProtocolError):
    """A change set breaks its format or a rule that holds for good."""


class InvalidOperation(ProtocolError):
    """An access operation breaks its format or a rule that holds for good."""


class CannotOpen(ProtocolError):
    """No key is known, or a ciphertext does not verify under it."""


class HandshakeFailed(ProtocolError):
    """The other side could not prove who it is."""


class TicketError(LichenError):
    """A ticket is malformed, used, expired or refused."""


class LinkError(LichenError):
    """A link or the path below it does not work."""


class Unreachable(LinkError):
    """Nobody answered at an address."""


class LinkClosed(LinkError):
    """The link was closed on this side."""


class LinkBroken(LinkError):
    """The link was closed or broken by the other side or by the path."""


class TraceError(LichenError):
    """A recorded editing trace is malformed."""

    def __init__(self, message: str, *, hint: str = "a trace is one sequential recording, as (gzipped) JSON") -> None:
        super().__init__(message, hint=hint)
