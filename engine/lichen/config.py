"""Every limit and interval of the engine, named, with its unit last.

One frozen value is passed down from `Engine.open`; tests make a smaller one to reach a limit quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one node accepts, keeps and waits for."""

    # Objects (fixed by the protocol: every node must agree on these)
    object_bytes: int = 4 * MIB
    """Largest change set, access operation or checkpoint chunk, sealed."""
    set_plaintext_bytes: int = 4 * MIB - 64 * KIB
    """Largest plaintext of one change set, before compression."""
    set_changes: int = 4_096
    """Most Automerge changes in one change set."""
    set_deps: int = 1_024
    """Most dependencies that a change set may name."""
    access_heads: int = 64
    """Most access-log heads that a change set or an operation may name."""
    change_operations: int = 65_536
    """Most operations in one Automerge change."""

    # Sealing
    seal_target_bytes: int = 64 * KIB
    """The sealer closes a change set when its changes reach this size."""

    # Links
    links: int = 4_096
    """Most links at once; above, of those accepted the oldest to a peer without a space in common gives way."""
    frame_bytes: int = 60 * KIB
    """Largest frame on a link, sealed."""
    handshake_bytes: int = 1 * KIB
    """Most bytes accepted from a peer before it has authenticated itself."""
    handshake_s: float = 5.0
    """Longest time a handshake may take."""
    heartbeat_s: float = 2.0
    """A link that has nothing to say sends a heartbeat this often."""
    rekey_s: float = 3_600.0
    """A link's sending key is replaced when it is this old (and after each GiB)."""
    silence_s: float = 6.0
    """A link from which nothing came for this long is dead."""
    send_queue_bytes: int = 8 * MIB
    """Most bytes that wait for one slow link; above, its eager pushes are dropped and caught up later."""
    send_queue_most_bytes: int = 64 * MIB
    """A link for which more than this waits is ended: its peer asks on without reading what it is answered."""
    catch_up_batch_bytes: int = 1 * MIB
    """How much of a catch-up is read from the store and queued at once."""
    reconnect_min_s: float = 0.2
    """First pause before a lost address is dialled again; it doubles."""
    reconnect_max_s: float = 15.0
    """Longest pause before a lost address is dialled again."""
    direct_s: float = 12.0
    """Longest time that opening a direct path may take."""

    # Sync
    graft_after_s: float = 0.5
    """How long an announced change set may stay away before it is fetched from who announced it."""
    frontier_ids: int = 1_024
    """Most ids in the frontier sample of one pull."""
    unchecked_bytes: int = 64 * MIB
    """Most bytes of change sets of one space that wait for their check; what comes above is pulled again."""
    waiting_sets: int = 4_096
    """Most change sets of one space that may wait for something not yet here."""
    waiting_bytes: int = 32 * MIB
    """Most bytes of waiting change sets of one space."""
    waiting_operations: int = 4_096
    """Most access operations of one space that may wait for a parent."""
    waiting_operation_bytes: int = 16 * MIB
    """Most bytes of waiting access operations of one space."""
    invalid_ids: int = 16_384
    """Most access operations of one space that are remembered as invalid."""
    memoised_rights: int = 16_384
    """Most answers of an access log, to who had which role at which heads, that are kept at once."""
    spaces: int = 1_024
    """Most spaces of one device, and on one link."""
    relay_spaces: int = 65_536
    """Most spaces that one relay stores."""

    # Presence
    ephemeral_bytes: int = 16 * KIB
    """Largest presence or signal message, sealed."""
    presence_s: float = 15.0
    """A device whose presence was not renewed for this long is gone."""
    presence_renew_s: float = 5.0
    """Own presence is repeated this often."""

    # Mail (a relay keeps it for a device that is not there)
    mail_bytes: int = 16 * KIB
    """Largest mail."""
    mail_unstored: int = 64
    """Most mails of one sender that wait for the disk; what comes above is dropped, and sent again by who needs it."""
    mail_per_device: int = 64
    """Most mails kept for one device."""
    mail_in_all: int = 65_536
    """Most mails kept at once; the oldest gives way."""
    mail_s: float = 7 * 86_400.0
    """How long a mail is kept."""

    # Tickets
    tickets: int = 1_024
    """Most open tickets of one device."""
    join_s: float = 120.0
    """How long `join` waits for the issuer by default."""

    # Documents
    open_documents: int = 64
    """Documents kept in memory when nothing uses them."""
    fold_changes: int = 16_384
    """A document's tail of single changes is folded into its snapshot when it is this long."""
    fold_bytes: int = 4 * MIB
    """... or this large."""
    fold_loaded_changes: int = 1_024
    """A tail this long is folded when its document is loaded: else the next to load it would apply it all again."""
    unsaved_bytes: int = 16 * MIB
    """Most bytes of changes that wait for the disk before an edit must wait."""

    # Store
    writer_jobs: int = 65_536
    """Most jobs queued for the writer thread."""
    writer_wait_s: float = 60.0
    """How long a call waits while one session of the application keeps others from writing; then it is refused."""


DEFAULT_LIMITS = Limits()
