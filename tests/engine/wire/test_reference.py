"""The reference page and the code name the same things."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args

import lichen
import pytest
from lichen.crypto import plaintext, sealing
from lichen.wire import changeset, dictionary, domains, ephemeral, epochs, frames, membership, operation, ticket

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGE = (REFERENCE / "wire.md").read_text()
TABLE = PAGE[PAGE.index("## Domain strings") : PAGE.index("## Change set")]


def own() -> set[str]:
    return {value.decode() for value in vars(domains).values() if isinstance(value, bytes)}


def elsewhere() -> dict[str, str]:
    """Domain strings in the rest of the engine, with the file that uses them."""
    found: dict[str, str] = {}
    for path in sorted(Path(lichen.__file__).parent.rglob("*.py")):
        if path.name != "domains.py":
            found |= dict.fromkeys(re.findall(r"b\"(lichen/[^\"]+/v1)\"", path.read_text()), path.name)
    return found


def test_the_tables_of_domain_strings_are_complete() -> None:
    assert set(re.findall(r"^\| `(lichen/[^`]+)`", TABLE, re.MULTILINE)) == own() | set(elsewhere())


def test_no_two_purposes_share_a_domain_string() -> None:
    for value, path_name in elsewhere().items():
        others = (own() | set(elsewhere())) - {value}
        assert value not in own(), f"{path_name} repeats {value}"
        assert not any(other.startswith(value) or value.startswith(other) for other in others), value


@pytest.mark.parametrize("magic", [changeset.MAGIC, operation.MAGIC, ephemeral.MAGIC])
def test_magics_are_shown(magic: bytes) -> None:
    assert f'`{magic.hex()}` ("{magic.decode()}")' in PAGE


def test_kinds_and_roles_are_shown_with_their_numbers() -> None:
    for change_kind in changeset.Kind:
        assert f"{change_kind.value} `{change_kind.name}`" in PAGE
    for ephemeral_kind in ephemeral.EphemeralKind:
        assert f"{ephemeral_kind.value} `{ephemeral_kind.name}`" in PAGE
    for kind in membership.OperationKind:
        assert f"**{kind.value} `{kind.name}`**" in PAGE
    for role in membership.Role:
        assert f"{role.value} {role.name.lower()}" in PAGE


def test_the_messages_of_links_are_shown_with_their_fields_in_order() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.*?) ?\| ", (REFERENCE / "links.md").read_text(), re.MULTILINE)
    shown = {(int(kind), name, re.sub(r" \([^)]*\)", "", fields)) for kind, name, fields in rows}
    assert {
        (message.KIND, message.__name__, ", ".join(field.name for field in dataclasses.fields(message)))
        for message in get_args(frames.Message)
    } <= shown


def test_widths_and_limits_are_shown() -> None:
    shown = [
        f"{membership.DeviceRecord.BYTES} bytes",
        f"| wraps | {32 + epochs.WRAPPED_BYTES} each |",
        f"at most {epochs.EARLIER_BYTES:,}",
        f"at most {plaintext.BODY_BYTES:,} bytes",
        f"{ticket.TEXT_CHARACTERS:,} characters",
        f"*Contexts*, {dictionary.CONTEXTS} slots",
        f"*Words*, {dictionary.WORDS} slots",
        f"last {dictionary.IDS:,} sets",
        f"at most {sealing.EPHEMERAL_PAYLOAD_BYTES // 1024} KiB",
    ]
    assert [value for value in shown if value not in PAGE] == []


def fixed_width(title: str) -> int:
    """The sum of the widths of the fields that every object of a kind has, up to the end of its prefix."""
    section = PAGE[PAGE.index(f"\n## {title}\n") :]
    table = section[: section.index("the prefix ends here")]
    return sum(int(width) for width in re.findall(r"^\| [^|]+ \| (\d+) \|", table, re.MULTILINE))


def test_the_widths_of_the_fields_add_up() -> None:
    assert fixed_width("Change set") == changeset.FIXED_BYTES + 2 + 4
    assert fixed_width("Ephemeral message") == ephemeral.PREFIX_BYTES
