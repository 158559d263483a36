"""Seeded worlds: whatever links and crashes do, devices that are whole again show the same, and nothing is lost."""

from __future__ import annotations

import dataclasses

import pytest
from lichen.config import DEFAULT_LIMITS
from lichen.ids import DocId, SpaceId
from lichen.testing.machine import Machine
from lichen.testing.world import World


def assert_same(devices: list[Machine], space: SpaceId, words: dict[DocId, list[str]]) -> None:
    """Every device shows the same documents, each with every word exactly once."""
    first = devices[0]
    for doc, written in words.items():
        text = str(first.document(doc)["body"])
        assert sorted(text.split(".")[:-1]) == sorted(word[:-1] for word in written)
        for device in devices[1:]:
            assert str(device.document(doc)["body"]) == text, f"{device.name} differs from {first.name}"
            assert device.document(doc).heads == first.document(doc).heads
    for device in devices:
        state = device.state(space)
        assert state.known.keys() == first.state(space).known.keys()
        assert state.frontier.keys() == first.state(space).frontier.keys()
        assert state.log.heads == first.state(space).log.heads
        assert not state.waiting
        assert device.invalid == []


def random_life(
    world: World, relay: Machine, devices: list[Machine], space: SpaceId, steps: int
) -> dict[DocId, list[str]]:
    """Devices join, edit, lose links, talk directly and crash, at random."""
    words: dict[DocId, list[str]] = {}
    for step in range(steps):
        world.run(world.random.uniform(0, 0.2))
        device = world.random.choice(devices)
        match world.random.randrange(10):
            case 0:
                peer = world.random.choice([relay, *devices])
                if peer is not device and not world.linked(device, peer):
                    world.link(device, peer)
            case 1:
                whole = [number for number, wire in world.wires.items() if wire.whole]
                if whole and world.random.random() < 0.5:
                    world.cut(world.random.choice(whole))
                elif whole:
                    world.congest(world.random.choice(whole), world.random.uniform(0, 1))
            case 2:
                world.crash(world.random.choice([relay, *devices]))
            case 3 if device.can_write(space):
                words[device.create(space)] = []
            case _ if device.can_write(space):
                here = [doc for doc in words if "body" in device.document(doc)]
                if here:
                    doc = world.random.choice(here)
                    word = f"{device.name}{step}."
                    # words are inserted between words, so that each can be counted afterwards
                    text = str(device.document(doc)["body"])
                    ends = [0, *(i + 1 for i, c in enumerate(text) if c == ".")]
                    device.insert(space, doc, world.random.choice(ends), word)
                    words[doc].append(word)
    return words


@pytest.mark.parametrize("seed", range(80))
def test_devices_agree_after_any_life(seed: int) -> None:
    world = World(seed)
    relay = world.machine("relay", relay=True)
    devices = [world.machine(name) for name in "abcd"[: 2 + seed % 3]]
    space = world.found(devices[0])
    world.link(devices[0], relay)
    world.run(1)
    for device in devices[1:]:
        world.admit(devices[0], space, device)
    words = random_life(world, relay, devices, space, 100)
    world.settle(relay)
    assert_same(devices, space, words)


@pytest.mark.parametrize("seed", range(60))
def test_what_full_disks_did_not_keep_comes_again(seed: int) -> None:
    """Half of what arrives is lost at once, and machines crash between that and its coming again."""
    world = World(seed, dataclasses.replace(DEFAULT_LIMITS, reconnect_max_s=0.01))
    relay = world.machine("relay", relay=True)
    devices = [world.machine(name) for name in "ab"]
    space = world.found(devices[0])
    world.link(devices[0], relay)
    world.admit(devices[0], space, devices[1])
    world.settle(relay, 2)
    words: dict[DocId, list[str]] = {devices[0].create(space): []}
    world.full = 0.5
    for step in range(40):
        world.settle(relay, world.random.uniform(0, 0.3))
        device = world.random.choice(devices)
        doc = world.random.choice(list(words))
        match world.random.randrange(10):
            case 0:
                world.crash(device)
            case 1 | 2:
                words[device.create(space)] = []
            case _ if "body" in device.document(doc):
                words[doc].append(f"{device.name}{step}.")
                device.insert(space, doc, 0, words[doc][-1])
    world.full = 0.0
    for machine in world.machines:
        world.crash(machine)
    world.settle(relay)
    assert_same(devices, space, words)


def test_a_life_without_a_relay_agrees_too() -> None:
    world = World(7)
    a, b = world.machine("a"), world.machine("b")
    space = world.found(a)
    world.admit(a, space, b)
    world.link(b, a)
    world.run(5)
    doc = a.create(space)
    world.run(5)
    for number in range(20):
        device = (a, b)[number % 2]
        device.insert(space, doc, 0, f"{device.name}{number}.")
        world.run(0.03)
    world.settle(a)
    assert_same([a, b], space, {doc: [f"{'ab'[n % 2]}{n}." for n in range(20)]})


def test_the_same_seed_is_the_same_life() -> None:
    def life() -> tuple[str, float]:
        world = World(3)
        relay, a, b = world.machine("relay", relay=True), world.machine("a"), world.machine("b")
        space = world.found(a)
        world.link(a, relay)
        world.admit(a, space, b)
        words = random_life(world, relay, [a, b], space, 40)
        world.settle(relay)
        return "|".join(str(a.document(doc)["body"]) for doc in words), world.now

    assert life() == life()


def test_a_stranger_gets_nothing() -> None:
    world = World(5)
    relay, a, stranger = world.machine("relay", relay=True), world.machine("a"), world.machine("stranger")
    space = world.found(a)
    world.link(a, relay)
    a.create(space)
    stranger.disk.operations[space] = []
    stranger.boot()
    world.settle(relay)
    assert not stranger.state(space).known
    assert not stranger.state(space).log.heads or stranger.state(space).log.role_of(stranger.device) is None


def test_a_relay_that_lost_its_disk_is_filled_again() -> None:
    world = World(11)
    relay, a, b = world.machine("relay", relay=True), world.machine("a"), world.machine("b")
    space = world.found(a)
    world.link(a, relay)
    world.admit(a, space, b)
    doc = a.create(space)
    a.insert(space, doc, 0, "one.")
    world.settle(relay)
    for number in [n for n, wire in world.wires.items() if wire.whole]:
        world.cut(number)
    fresh = world.machine("fresh", relay=True)
    world.link(a, fresh)
    world.run(10)
    assert fresh.state(space).known.keys() == a.state(space).known.keys()
    assert fresh.state(space).keys == {}
