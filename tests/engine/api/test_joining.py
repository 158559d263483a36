"""Joining a space with a ticket, as an application does it."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from lichen import Engine, JoinProgress, Relay, Text
from lichen.errors import AccessDenied, ConfigError, NotFound, StoreFull, TicketError, Unreachable
from lichen.ids import DeviceKey
from lichen.runtime import joining, ticket_rows
from lichen.store import node
from lichen.store.membership import TicketRow
from lichen.store.schema import mail
from lichen.testing.waiting import until
from lichen.wire.operation import Role
from sqlalchemy import Connection, func, select

from .conftest import Devices


async def test_a_ticket_lets_in_as_often_as_it_says(devices: Devices) -> None:
    ann, bob, cat, dan = await devices("ann", "bob", "cat", "dan")
    await ann.listen("memory://uses")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto", uses=2)
    await bob.join(ticket, name="Bob", timeout_s=20)
    await cat.join(ticket, name="Cat", timeout_s=20)
    with pytest.raises(TicketError) as raised:
        await dan.join(ticket, name="Dan", timeout_s=20)
    assert raised.value.hint
    assert dan.spaces == []
    assert sorted(member.name for member in space.members() if member.name) == ["Bob", "Cat"]


async def test_of_two_who_come_at_once_with_a_one_use_ticket_one_gets_in_and_the_other_not_later_either(
    devices: Devices,
) -> None:
    ann, bob, cat = await devices("ann", "bob", "cat")
    await ann.listen("memory://at-once")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto")
    come = [device.join(ticket, name="Guest", timeout_s=20) for device in (bob, cat)]
    outcomes = await asyncio.gather(*come, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Space", "TicketError"]
    late = (bob, cat)[[isinstance(outcome, TicketError) for outcome in outcomes].index(True)]
    with pytest.raises(TicketError, match="used already"):
        await late.join(ticket, name="Guest", timeout_s=20)
    assert len(space.members()) == 2


async def test_an_address_of_a_kind_that_is_not_known_here_is_passed_over(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    address = await ann.listen("memory://known")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto", hints=["pigeon://loft", address])
    assert (await bob.join(ticket, timeout_s=20)).id == space.id
    with pytest.raises(Unreachable):
        await (await devices("cat"))[0].join(await space.invite(mode="auto", hints=["pigeon://loft"]), timeout_s=20)


async def test_a_device_that_joins_again_uses_nothing_up(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://again")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto", uses=1)
    for _ in range(2):
        await bob.join(ticket, name="Bob", timeout_s=20)
    assert len(space.members()) == 2


async def test_a_member_has_its_space_at_once_where_nobody_is_there(tmp_path: Path) -> None:
    bob_db = f"sqlite:///{tmp_path}/bob.db"
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as ann, Engine.open(bob_db) as bob:
        await ann.listen("memory://away")
        space = await ann.create_space("Family")
        ticket = await space.invite(mode="auto", uses=1)
        await bob.join(ticket, name="Bob", timeout_s=20)
    async with Engine.open(bob_db) as bob, asyncio.timeout(20):
        assert (await bob.join(ticket, name="Bob")).name == "Family"


async def test_a_ticket_that_has_expired_lets_nobody_in(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://late")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto", expires=timedelta(milliseconds=1))
    with pytest.raises(TicketError, match="expired"):
        await bob.join(ticket, timeout_s=20)
    assert len(space.members()) == 1


async def test_a_reader_reads_and_does_not_write(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://reader")
    space = await ann.create_space("Family")
    note = await space.create({"body": Text("eggs")})
    shared = await bob.join(await space.invite(mode="auto", role=Role.READER), name="Bob", timeout_s=20)
    copy = await shared.document(note.id, wait_s=10)
    with pytest.raises(AccessDenied):
        copy.change("mine")
    for refused in (shared.create({"body": Text("mine")}), shared.invite(mode="auto")):
        with pytest.raises(AccessDenied) as raised:
            await refused
        assert raised.value.hint
    async with note.change() as doc:
        doc["body"].append(" and milk")
    await until(lambda: copy.heads == note.heads)
    assert str(copy.doc["body"]) == "eggs and milk"


async def test_tickets_that_make_no_sense_are_refused(devices: Devices) -> None:
    (ann,) = await devices("ann")
    space = await ann.create_space("Family")
    for wrong in ({"expires": timedelta(0)}, {"uses": 0}, {"role": Role.ADMIN}, {"hints": ["x" * 300]}):
        with pytest.raises((ConfigError, TicketError)) as raised:
            await space.invite(mode="auto", **wrong)  # type: ignore[arg-type]  # wrong on purpose
        assert raised.value.hint
    own = await space.invite(mode="auto")
    with pytest.raises(TicketError, match="this device"):
        await ann.join(own)


async def kept(relay: Relay) -> int:
    """How many mails a relay keeps."""
    return await asyncio.wrap_future(
        relay.store.write(lambda conn: conn.execute(select(func.count()).select_from(mail)).scalar_one())
    )


async def test_a_relay_keeps_a_request_until_the_issuer_is_back(tmp_path: Path, relay: Relay, devices: Devices) -> None:
    address = await relay.listen("ws://127.0.0.1:0")
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as ann:
        await ann.connect(address, remember=True)
        space = await ann.create_space("Family")
        ticket = await space.invite(mode="auto")
        await until(lambda: ann.up_to_date)
    (bob,) = await devices("bob")
    with pytest.raises(Unreachable) as raised:
        await bob.join(ticket, timeout_s=1)
    assert "online" in raised.value.hint
    assert bob.spaces == []
    joining = asyncio.create_task(bob.join(ticket, name="Bob", timeout_s=30))
    async with asyncio.timeout(20):
        while await kept(relay) < 2:  # the one that was given up, and this one
            await asyncio.sleep(0)
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as ann:
        await ann.connect_remembered()
        assert (await joining).name == "Family"
        await until(lambda: [member.name for member in ann.spaces[0].members()].count("Bob") == 1)


async def test_an_issuer_that_restarts_in_the_middle_still_lets_in(
    tmp_path: Path, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first process answers the first mail, and ends before the second comes."""
    (bob,) = await devices("bob")
    url = f"sqlite:///{tmp_path}/ann.db"
    async with Engine.open(url) as ann:
        await ann.listen("memory://restarted")
        space = await ann.create_space("Family")
        ticket = await space.invite(mode="auto")
        with monkeypatch.context() as patched:
            patched.setattr(ann.joining, "_answer", lambda *_: asyncio.sleep(0))
            joining = asyncio.create_task(bob.join(ticket, name="Bob", timeout_s=60))
            await until(lambda: any(len(issuer._third) for issuer in ann.joining._issuers.values()))
    async with Engine.open(url) as ann:
        await ann.listen("memory://restarted")
        assert (await joining).name == "Family"
        assert len(ann.spaces[0].members()) == 2


async def test_a_join_that_fails_leaves_what_is_dialled_as_it_was(devices: Devices) -> None:
    ann, bob, cal = await devices("ann", "bob", "cal")
    for address in ("memory://ann-1", "memory://ann-2"):
        await ann.listen(address)
    await cal.listen("memory://cal")
    space = await ann.create_space("Family")
    hints = ["memory://ann-1?token=theirs", "memory://ann-2", "memory://cal"]
    used = await space.invite(mode="auto", expires=timedelta(milliseconds=1), hints=hints)
    await bob.connect("memory://ann-1?token=mine")
    await bob.connect("memory://cal")
    with pytest.raises(TicketError, match="expired"):
        await bob.join(used, timeout_s=20)
    assert {one.url for one in bob.connections} == {"memory://ann-1?token=mine", "memory://cal"}
    await until(lambda: all(one.state == "connected" for one in bob.connections))
    await until(lambda: len(bob._driver.links) == 2)
    assert await bob.remembered() == []


async def test_only_addresses_of_the_ticket_that_can_be_dialled_are_remembered(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://known")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto", hints=["memory://known", "carrier-pigeon://x", "memory://[known"])
    await bob.connect("memory://another")
    await bob.join(ticket, timeout_s=20)
    assert await bob.remembered() == ["memory://known"]
    await asyncio.wrap_future(bob.store.write(lambda conn: node.add_address(conn, "carrier-pigeon://x")))
    assert await bob.connect_remembered() == []


async def test_an_issuer_whose_store_fails_refuses_nobody_and_says_nothing_of_its_files(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "REPEAT_S", 0.02)
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://full")
    space = await ann.create_space("Family")
    redeem, failed = ticket_rows.redeem, list[bytes]()

    def full_at_first(conn: Connection, ticket_id: bytes, device: DeviceKey, now_ms: int) -> TicketRow:
        if len(failed) < 2:
            failed.append(ticket_id)
            raise StoreFull(f"no space is left for {ann.store.path}")
        return redeem(conn, ticket_id, device, now_ms)

    monkeypatch.setattr(ticket_rows, "redeem", full_at_first)
    await bob.join(await space.invite(mode="auto"), timeout_s=20)
    assert len(failed) == 2


async def test_a_connection_that_was_closed_before_it_came_about_is_not_waited_for(devices: Devices) -> None:
    (ann,) = await devices("ann")
    for _ in range(3):
        connection = await ann.connect("memory://nobody", remember=True)
        connection.close()
    await until(lambda: not ann._driver._running)
    assert (ann.connections, await ann.remembered()) == ([], [])


async def test_a_device_that_came_back_without_the_join_serves_the_joiner_once_it_has_answered_again(
    tmp_path: Path,
) -> None:
    """Its store lost the operation that took the joiner in, and the joiner had asked for everything before it knew."""
    ann_db, bob_db, copy = tmp_path / "ann.db", tmp_path / "bob.db", tmp_path / "copy.db"
    async with Engine.open(f"sqlite:///{ann_db}") as ann:
        address = await ann.listen("memory://came-back")
        space = await ann.create_space("Family")
        note = await space.create({"body": Text("begun")})
        ticket = await space.invite(mode="auto", hints=[address])
    shutil.copyfile(ann_db, copy)
    async with Engine.open(f"sqlite:///{ann_db}") as ann, Engine.open(f"sqlite:///{bob_db}") as bob:
        await ann.listen("memory://came-back")
        await bob.join(ticket, timeout_s=20)
    shutil.copyfile(copy, ann_db)
    async with Engine.open(f"sqlite:///{ann_db}") as ann, Engine.open(f"sqlite:///{bob_db}") as bob:
        await ann.listen("memory://came-back")
        space = await bob.join(ticket, timeout_s=20)
        changed = await ann.document(note.id)
        async with changed.change() as doc:
            doc["body"].insert(0, "new ")
        await until(lambda: bob.up_to_date)
        read = await space.document(note.id, wait_s=20)
        await until(lambda: str(read.doc["body"]) == "new begun")


async def test_a_join_that_nobody_answers_tells_where_it_looks_and_then_where_nobody_was(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    space = await ann.create_space("Family")
    ticket = await space.invite(mode="auto", hints=["memory://nobody"])
    heard: list[JoinProgress] = []
    with pytest.raises(Unreachable, match=r"nobody answered within 1\.5 s: .*memory://nobody") as raised:
        await bob.join(ticket, timeout_s=1.5, progress=heard.append)
    assert raised.value.hint
    assert heard == [JoinProgress(1, 1.5, ("memory://nobody",), linked=False)]
    assert str(heard[0]).startswith("looking for who invited you at memory://nobody: 1 of 1.5 s")


async def test_a_program_shows_the_space_of_its_ticket_and_from_then_on_the_last_that_came(tmp_path: Path) -> None:
    bob_db = f"sqlite:///{tmp_path}/bob.db"
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as ann:
        await ann.listen("memory://last")
        family = await ann.open_space("Shopping", name="Ann")
        assert [member.name for member in family.members()] == ["Ann"]
        ticket = await family.invite(mode="auto")
        async with Engine.open(bob_db) as bob:
            own = await bob.open_space("Shopping", name="Bob")
            joined = await bob.open_space("Shopping", ticket, name="Bob", timeout_s=20)
            assert (joined.id, bob.spaces[0].id) == (family.id, own.id)
            assert [space.told for space in bob.spaces] == ["Shopping, your own", "Shopping of Ann"]
            alone = "Only you are in it so far. To join others, use their invitation.\n"
            assert own.about == f"{alone}Also on this device: Shopping of Ann"
            assert joined.about == "Also on this device: Shopping, your own"
            assert family.about == ""
    async with Engine.open(bob_db) as bob:
        assert (await bob.open_space("Shopping")).id == family.id
        assert (await bob.open_space("Shopping", own=True)).id == own.id
        assert len(bob.spaces) == 2


async def test_after_a_join_that_was_cut_short_no_space_is_begun_unless_that_is_wanted(tmp_path: Path) -> None:
    bob_db = f"sqlite:///{tmp_path}/bob.db"
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as ann:
        family = await ann.create_space("Shopping")
        ticket = await family.invite(mode="auto", hints=["memory://cut?token=secret"])
        async with Engine.open(bob_db) as bob:
            joining = asyncio.create_task(bob.open_space("Shopping", ticket))
            await until(lambda: bob.connections)
            joining.cancel()
            await asyncio.wait([joining])
        async with Engine.open(bob_db) as bob:
            with pytest.raises(ConfigError, match=r"^a join at memory://cut was begun, and not finished") as raised:
                await bob.open_space("Shopping")
            assert "invitation" in raised.value.hint
            assert bob.spaces == []
            own = await bob.open_space("Shopping", own=True)
            assert (await bob.open_space("Shopping")).id == own.id
            await ann.listen("memory://cut")
            joined = await bob.open_space("Shopping", ticket, timeout_s=20)
            assert joined.id == family.id
            await own.leave()
            await joined.leave()
            assert (await bob.open_space("Shopping")).role == Role.OWNER


async def test_a_refused_ticket_holds_up_no_later_start(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://refusing")
    space = await ann.create_space("Shopping")
    ticket = await space.invite(mode="auto", expires=timedelta(milliseconds=1))
    with pytest.raises(TicketError, match="expired"):
        await bob.open_space("Shopping", ticket, timeout_s=20)
    assert (await bob.open_space("Shopping")).role == Role.OWNER


async def test_a_ticket_that_names_no_address_is_warned_of(devices: Devices, caplog: pytest.LogCaptureFixture) -> None:
    (ann,) = await devices("ann")
    space = await ann.create_space("Family")
    await space.invite(mode="auto", hints=[])
    assert not caplog.records
    await space.invite(mode="auto")
    assert "names no address" in caplog.text


async def test_an_owner_makes_what_is_titled_and_others_wait_for_it(devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen("memory://titled")
    space = await ann.create_space("Family")
    joined = await bob.join(await space.invite(mode="auto"), name="Bob", timeout_s=20)
    with pytest.raises(NotFound, match="'Notes' of Family has not come"):
        await joined.titled("Notes", wait_s=0.01)
    waiting = asyncio.ensure_future(joined.titled("Notes"))
    notes = await space.titled("Notes", {"body": Text("milk")})
    async with asyncio.timeout(20):
        assert (await waiting).id == notes.id
    twins = {notes.id, (await joined.create({"title": "Notes"})).id}
    assert (await joined.titled("Notes")).id == min(twins)


async def test_an_address_that_is_taken_is_told_where_it_is_not_required(
    devices: Devices, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = await devices("ann", "bob")
    space = await ann.create_space("Family")
    taken = await ann.listen("ws://127.0.0.1:0")
    with pytest.raises(Unreachable):
        await bob.listen(taken)
    assert await bob.listen(taken, required=False) == ""
    assert f"others do not find this device: cannot listen at {taken}" in caplog.text
    assert space.usual_address == ann.space(space.id).usual_address
    assert 10_000 <= int(space.usual_address.removeprefix("ws://127.0.0.1:")) < 30_000
