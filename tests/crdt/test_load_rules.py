"""Files of which one thing is forged: each is refused by the rule that it breaks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from crdt_forge import DELETE, HEAD, INCREMENT, MAKE_LIST, SET, Change, Op, sleb, string
from crdt_forged_files import (
    ALICE,
    BOB,
    EXAMPLE,
    FILE,
    body,
    change_ident,
    change_meta,
    change_row,
    drop_row,
    encode,
    in_root,
    is_character,
    refuse,
    saved,
    supersede,
    swap,
    with_a_value_on_a_mark,
    with_actors,
    with_body,
    with_change_column,
    with_column,
    with_dependencies,
    with_extra_bytes,
    with_one_more,
)
from crdt_format import Saved, split
from lichen_crdt import (
    Document,
    InvalidDocument,
)


def test_an_honest_file_taken_apart_and_put_together_again_is_the_same() -> None:
    assert encode(saved()) == FILE
    assert Document.load(FILE).to_py() == EXAMPLE.to_py()


def test_no_two_operations_can_change_places() -> None:
    rows = saved().rows
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            forged = saved()
            forged.rows[first], forged.rows[second] = rows[second], rows[first]
            assert forged.hashes() == saved().hashes()
            refuse(encode(forged))


FORGED = {
    "an object that does not exist": lambda: change_row(is_character, obj=(3, ALICE)),
    "an element that does not exist": lambda: change_row(is_character, key=(99, ALICE)),
    "an element of another object": lambda: change_row(is_character, key=(8, ALICE)),
    "an element of a map": lambda: change_row(in_root, key=(2, ALICE)),
    "a map key in a text": lambda: change_row(is_character, key="x"),
    "an insertion in a map": lambda: change_row(in_root, insert=True),
    "a write on the head": lambda: change_row(lambda op: op.key == HEAD, insert=False),
    "a key out of order": lambda: change_row(in_root, key="aaa"),
    "a text that is a value": lambda: change_row(in_root, action=SET),
    "a text that is a list": lambda: change_row(in_root, action=MAKE_LIST),
    "a deletion as a row": lambda: change_row(is_character, action=DELETE, insert=False),
    "an object with a value": lambda: change_row(lambda op: op.key == "map", value=string("x")),
    "an end of a mark with a value": lambda: change_row(lambda op: op.action == 7 and not op.mark, value=string("x")),
    "an unknown action": lambda: change_row(is_character, action=9),
    "an increment of nothing": lambda: change_row(lambda op: op.key == "map", action=INCREMENT, value=(4, b"\x01")),
    "an increment by a string": lambda: change_row(lambda op: op.action == INCREMENT, value=string("x")),
    "a counter that is none": lambda: change_row(lambda op: op.value[0] == 8, value=(4, b"\x02")),
    "a string that is not UTF-8": lambda: change_row(is_character, value=(6, b"\xff")),
    "a number with a byte too many": lambda: change_row(lambda op: op.value == (4, b"\x01"), value=(4, b"\x81\x00")),
    "a float of three bytes": lambda: change_row(lambda op: op.value[0] == 5, value=(5, b"abc")),
    "null with a byte": lambda: change_row(lambda op: op.value[0] == 0 and op.key == "k", value=(0, b"x")),
    "a mark without an end": lambda: drop_row(lambda op: op.action == 7 and op.mark is None),
    "a mark without a begin": lambda: drop_row(lambda op: op.mark is not None),
    "a name of a mark on a character": lambda: change_row(is_character, mark="bold"),
    "a character that is missing": lambda: drop_row(is_character),
    "a successor that is an insertion": lambda: supersede(is_character, (6, 0)),
    "a successor in another place": lambda: supersede(is_character, (18, 1)),
    "a successor twice": lambda: supersede(is_character, (15, 1), (15, 1)),
    "a successor of no change": lambda: supersede(is_character, (999, 1)),
    "a successor that came before": lambda: supersede(is_character, (1, 0)),
    "a dependency on itself": lambda: change_meta(1, deps=(1,)),
    "a dependency on a later change": lambda: change_meta(1, deps=(2,)),
    "a dependency twice": lambda: change_meta(1, deps=(0, 0)),
    "no dependency on the actor's change before": lambda: change_meta(1, deps=()),
    "a seq of two at first": lambda: change_meta(0, seq=2),
    "an actor that does not exist": lambda: with_change_column(0x01, b"\x7d\x00\x00\x05"),
    "a later change numbered as an earlier one": lambda: change_meta(2, actor=1, seq=7),
    "a last operation beyond the last": lambda: change_meta(2, max_op=500),
    "a last operation before the last": lambda: change_meta(2, max_op=16),
    "a last operation of 2^31": lambda: change_meta(2, max_op=2**31),
    "a time that leaves no room for its differences": lambda: change_meta(2, time=-(2**63)),
    "actors out of order": lambda: with_actors([BOB, ALICE]),
    "an actor twice": lambda: with_actors([ALICE, ALICE]),
    "heads of another document": lambda: with_body(heads=[bytes(32), b"\x01" * 32]),
    "no heads": lambda: with_body(heads=[], tail=b""),
    "an unknown column": lambda: with_body(ops=[*body().ops, (0xC2, b"\x7f\x00")]),
    "a column too short": lambda: with_column(0x42, b"\x01\x01"),
    "a column too long": lambda: with_column(0x94, b"\x7f"),
    "a column that is missing": lambda: with_column(0x21, b""),
    "an empty run": lambda: with_column(0x42, b"\x00\x00"),
    "bytes after the heads": lambda: with_body(tail=b"\x01\x02\x03"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_document_is_refused(name: str) -> None:
    refuse(FORGED[name]())


# The crate refuses most of these too, by other heads. Each rule is ours, and says so before the crate sees the file.
RULES = {
    "a mark without an end": FORGED["a mark without an end"],
    "an operation without a number": lambda: change_ident(is_character, (0, 0)),
    "what belongs to a mark": FORGED["a name of a mark on a character"],
    "successors of an operation are not sorted": FORGED["a successor twice"],
    "operations on a key or element are not in order": lambda: swap((17, 0), (17, 1)),
    "superseded what is no value": lambda: supersede(lambda op: op.action == INCREMENT, (18, 1)),
    "elements at one place are not in order": lambda: swap((20, 0), (16, 0)),
    "a value with an operation that has none": FORGED["an object with a value"],
    "an increment of no counter": FORGED["a counter that is none"],
    "columns of the operations are not of one length": FORGED["a column too long"],
    "apart from the element it is on": FORGED["a write on the head"],
    "does not fit its place": FORGED["a text that is a list"],
    "a mark that ends before it begins": FORGED["a mark without a begin"],
    "ends before it begins, or elsewhere": lambda: change_meta(0, max_op=19),  # its begin is in another change
    "the keys of a map are not in order": FORGED["a key out of order"],
    "does not fit its type": FORGED["null with a byte"],
    "too many dependencies": lambda: with_dependencies(2**40),
    "columns of the changes are not of one length": lambda: with_change_column(0x23, sleb(1000) + b"\x01"),
    "a change before one that it builds on": FORGED["a dependency on itself"],
    "a dependency twice": FORGED["a dependency twice"],
    "not numbered from 1": FORGED["a seq of two at first"],
    "refers to a later one": FORGED["a successor that came before"],
    "refers to one that is not in its past": FORGED["no dependency on the actor's change before"],
    "numbered on from its past": FORGED["a successor in another place"],
    "not numbered on from its past": lambda: change_meta(2, deps=(0, 1)),  # whose operations begin higher
    "the last operation of a change": FORGED["a last operation beyond the last"],
    "an operation of no change": FORGED["a last operation before the last"],
    "operation of no change": with_one_more,
    "in the place of a mark": with_a_value_on_a_mark,
    "a value that does not fit its type": lambda: with_extra_bytes(6, b"\xff"),
    "an author is named": lambda: with_extra_bytes(7, b"\x01\x02me", second=True),
    "a time is at least": FORGED["a time that leaves no room for its differences"],
}


@pytest.mark.parametrize("rule", RULES)
def test_a_forged_document_is_refused_by_the_rule_that_it_breaks(rule: str) -> None:
    with pytest.raises(InvalidDocument, match=rule):
        Document.load(RULES[rule](), max_operations=1_000)


def test_an_operation_must_lie_in_the_past_of_what_refers_to_it() -> None:
    base = Change(ops=(Op(4, key="t"), Op(obj=(1, ALICE), key=HEAD, insert=True, value=string("a"))))
    one = Change(seq=2, start_op=3, deps=(base.hash,), ops=(Op(obj=(1, ALICE), key=(2, ALICE), insert=True),))
    doc = Document(actor=BOB)
    doc.apply_changes([base.encode(), one.encode()])
    with doc.change():
        doc["t"].append("b")
    forged = Saved.parse(split(doc.save())[0][1])
    assert encode(forged) == doc.save()
    forged.changes[2] = replace(forged.changes[2], deps=(0,))
    refuse(encode(forged))
    forged.changes[2] = replace(forged.changes[2], deps=())
    refuse(encode(forged))
