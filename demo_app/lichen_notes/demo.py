"""`python -m lichen_notes.demo`: a relay and two devices, as processes with stores of their own, write one note
together.

Without options it tells the story in the terminal and keeps both pages open until Ctrl-C. With `--headless` it does
the story by itself: both write at once, the relay is killed and comes back, one device is killed while it writes and
comes back. Every word that is written is unique and counted at the end: acknowledged means that the device had it on
disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import typer
from lichen.cli.nodes import interruptible
from lichen.cli.output import Report, configure_logs, run
from lichen.cli.processes import Process
from lichen.errors import LichenError, LinkBroken, Unreachable
from rich.markup import escape

START_S = 30.0
"""How long a process may take to be ready."""
SETTLE_S = 20.0
"""How long devices may take to agree."""
WORDS = 12
"""Words that each device writes in each part of the story."""
WORD = re.compile(r"\b[ab]-\d+-[0-9a-f]{6}\b")
_PLAIN = build_opener(ProxyHandler({}))


class Actor(Process):
    """One of the story's processes, which says first that it is ready."""

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        # Ctrl-C reaches the story, which ends its processes in order
        super().__init__(name, module, *arguments, "--json", apart=True, LICHEN_PASSPHRASE="demo")
        self.ready: dict[str, Any] = {}

    async def start(self) -> None:
        """Start it, and wait until it says that it is ready. Raises `LichenError`."""
        await super().start()
        self.ready = await self.line(START_S)


class Device(Actor):
    """A device: its `lichen-notes` process, driven through the interface that its page uses too."""

    def __init__(self, name: str, letter: str, folder: Path, relay_url: str) -> None:
        store = str(folder / f"{letter}.db")
        super().__init__(name, "lichen_notes", "--store", store, "--port", "0", "--relay", relay_url, "--name", name)
        self.letter = letter
        self.bytes_before: Counter[str] = Counter()
        """What earlier runs of its process had sent and received, by path."""

    async def start(self) -> None:
        """Start it; once more, where its page expects it."""
        if self.ready:
            port = self.arguments.index("--port") + 1
            self.arguments = (*self.arguments[:port], str(urlsplit(self.url).port), *self.arguments[port + 1 :])
        await super().start()

    @property
    def url(self) -> str:
        """Its page, with the token."""
        return str(self.ready["url"])

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request. Raises `LichenError` for what the device refuses, `LinkBroken` when it is not there."""
        return await asyncio.to_thread(self._ask, path, body)

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        parts = urlsplit(self.url)
        token = parse_qs(parts.query)["token"][0]
        request = Request(
            f"http://{parts.netloc}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with _PLAIN.open(request, timeout=SETTLE_S) as answer:
                value: dict[str, Any] = json.load(answer)
                return value
        except HTTPError as error:
            found = json.load(error).get("error", {})
            raise LichenError(f"{self.name}: {found.get('message')}", hint=found.get("hint", "")) from error
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise LinkBroken(f"{self.name} does not answer: {error}") from error

    async def path(self) -> str:
        """The kind of path to the other device."""
        spaces = (await self.ask("/api/state"))["spaces"]
        peers = [peer for space in spaces for peer in space["peers"] if peer["via"] != "none"]
        return str(peers[0]["path"]) if peers else "none"

    async def traffic(self) -> Counter[str]:
        """Bytes sent and received over each path, over all its runs as far as they were seen."""
        now = (await self.ask("/api/state"))["traffic"]
        total = Counter(self.bytes_before)
        for path, counts in now.items():
            total[path] += counts["sent"] + counts["received"]
        return total

    async def note(self, note: str) -> dict[str, Any]:
        """The note as the device has it on disk."""
        return await self.ask(f"/api/notes/{note}")


@dataclass
class Story:
    """What happens, and what is counted."""

    folder: Path
    say: Callable[[str], None]
    relay: Actor = field(init=False)
    devices: list[Device] = field(default_factory=list)
    space: str = ""
    note: str = ""
    acked: list[str] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    count: int = 0

    # The stage

    async def set_up(self) -> None:
        """Start all three, make a space and a note, and let the second device join."""
        await self.start_relay("ws://127.0.0.1:0")
        self.say(f"A relay listens at [bold]{self.relay.ready['listening']}[/bold]. It holds no key to what it stores.")
        url = self.relay.ready["listening"]
        self.devices = [Device("Ada", "a", self.folder, url), Device("Ben", "b", self.folder, url)]
        for device in self.devices:
            await device.start()
        ada, ben = self.devices
        self.say("Two devices have started, each with its own encrypted store.")
        self.space = (await ada.ask("/api/spaces", {"name": "Family", "me": "Ada"}))["space"]
        made = await ada.ask(f"/api/spaces/{self.space}/notes", {"title": "Our note", "body": ""})
        self.note = made["note"]
        ticket = (await ada.ask(f"/api/spaces/{self.space}/invite", {}))["ticket"]
        self.say(f"Ada has made a space and a note, and invited Ben with one string: [dim]{ticket[:32]}…[/dim]")
        await ben.ask("/api/join", {"ticket": ticket, "me": "Ben"})
        await self.until("Ben has the note", self._ben_has_the_note)
        self.say("Ben has joined, and has the note.")

    async def _ben_has_the_note(self) -> bool:
        try:
            await self.devices[1].note(self.note)
        except LichenError:
            return False
        return True

    async def start_relay(self, address: str) -> None:
        """Start the relay, with the store that it had before."""
        store = f"sqlite:///{self.folder / 'relay.db'}"
        self.relay = Actor("the relay", "lichen.cli", "relay", "--listen", address, "--store", store)
        await self.relay.start()

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(device.stop() for device in self.devices))
        if hasattr(self, "relay"):
            await self.relay.stop()

    # Writing

    async def write(self, device: Device, words: int) -> None:
        """Write words one after the other; each counts once the device says that it is on disk."""
        for _ in range(words):
            self.count += 1
            word = f"{device.letter}-{self.count}-{os.urandom(3).hex()}"
            await device.ask(f"/api/notes/{self.note}/append", {"text": f" {word}"})
            self.acked.append(word)

    async def _write_until_killed(self, device: Device) -> None:
        with contextlib.suppress(LinkBroken):
            await self.write(device, 10_000)

    async def both_write(self) -> None:
        """Both write at once."""
        await asyncio.gather(*(self.write(device, WORDS) for device in self.devices))

    async def until(self, what: str, holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Wait until something holds. Raises `Unreachable` when it does not in time."""
        deadline = time.monotonic() + SETTLE_S
        while not await holds():
            if time.monotonic() > deadline:
                raise Unreachable(f"waited {SETTLE_S:g} s in vain: {what}")
            await asyncio.sleep(0.05)

    async def equal(self) -> bool:
        """Both devices have the same text and heads."""
        first, second = [await device.note(self.note) for device in self.devices]
        return bool(first["text"] == second["text"] and first["heads"] == second["heads"])

    # The parts

    async def write_at_once(self) -> str:
        """Part one. Returns the path between the devices when they begin."""
        path = await self.devices[0].path()
        await self.both_write()
        await self.until("both texts are equal", self.equal)
        self.say(f"Both wrote {WORDS} words at once, over {path} at first. Both texts are equal.")
        return path

    async def lose_the_relay(self) -> str:
        """Part two: the relay is killed; the devices go on. Returns the path that they go on over."""
        ada = self.devices[0]

        async def direct() -> bool:
            return await ada.path() == "webrtc"

        await self.until("a direct path is open", direct)
        self.say("A direct path has opened between the two: WebRTC, negotiated with sealed messages through the relay.")
        await self.relay.kill()
        self.kills.append("relay")
        await self.both_write()
        await self.until("both texts are equal without the relay", self.equal)
        path = await ada.path()
        self.say(f"The relay was killed. Both went on writing over {path}: both texts are equal.")
        return path

    async def bring_back_the_relay(self) -> None:
        """Part three."""
        await self.start_relay(str(self.relay.ready["listening"]))

        async def connected() -> bool:
            states = [await device.ask("/api/state") for device in self.devices]
            return all(relay["state"] == "connected" for state in states for relay in state["relays"])

        await self.until("both are connected to the relay again", connected)
        await self.both_write()
        self.say("The relay is back, with its store; the devices have told it what it missed.")

    async def kill_a_writer(self) -> None:
        """Part four: a device is killed with SIGKILL in the middle of writing, and comes back."""
        ada, ben = self.devices
        ben.bytes_before = await ben.traffic()
        before = len(self.acked)
        async with asyncio.TaskGroup() as writers:
            writing = writers.create_task(self._write_until_killed(ben))
            writers.create_task(self.write(ada, WORDS))

            async def writes() -> bool:
                return len(self.acked) >= before + WORDS

            await self.until("both write", writes)
            await ben.kill()
            self.kills.append("device")
            await writing
        await ben.start()
        await self.until("both texts are equal after the kill", self.equal)
        self.say("Ben's device was killed (SIGKILL) while it was writing, and started again. Both texts are equal.")

    async def result(self, path_before: str, path_after: str) -> dict[str, Any]:
        """The figures, from what the devices say now."""
        await self.until("both texts are equal at the end", self.equal)
        first, second = [await device.note(self.note) for device in self.devices]
        seen = Counter(WORD.findall(first["text"]))
        traffic = [await device.traffic() for device in self.devices]
        return {
            "equal": first["text"] == second["text"] and first["heads"] == second["heads"],
            "text_sha256": hashlib.sha256(first["text"].encode()).hexdigest(),
            "heads": first["heads"],
            "acked": len(self.acked),
            "lost": sum(1 for word in self.acked if not seen[word]),
            "doubled": sum(1 for count in seen.values() if count > 1),
            "path_before": path_before,
            "path_after_relay_kill": path_after,
            "kills": self.kills,
            "bytes": {path: sum(counts[path] for counts in traffic) for path in ("websocket", "webrtc")},
        }

    async def tell(self) -> dict[str, Any]:
        """All parts, in order."""
        path_before = await self.write_at_once()
        path_after = await self.lose_the_relay()
        await self.bring_back_the_relay()
        await self.kill_a_writer()
        return await self.result(path_before, path_after)


@contextlib.asynccontextmanager
async def staged(say: Callable[[str], None]) -> AsyncIterator[Story]:
    """A story that is set up, whose processes and files end with the block."""
    with tempfile.TemporaryDirectory(prefix="lichen-demo-") as folder:
        story = Story(Path(folder), say)
        try:
            await story.set_up()
            yield story
        finally:
            await story.close()


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Do the story without a person.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")] = False,
) -> None:
    """A relay and two devices write one note together."""
    configure_logs(verbose=False)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with staged(report.note) as story:
            if not headless:
                _show_pages(report, story)
            result = await story.tell()
            report.result(result, lambda: _show(report, result))
            if not headless:
                report.note("\nThe pages stay open: write in both. [bold]Ctrl-C ends everything.[/bold]")
                async with interruptible() as stop:
                    await stop.wait()
        if not (result["equal"] and result["lost"] == 0 and result["doubled"] == 0):
            raise typer.Exit(1)

    run(report, work)


def _show_pages(report: Report, story: Story) -> None:
    report.note("")
    for device in story.devices:
        report.note(f"  {device.name}'s page: [bold]{escape(device.url)}[/bold]")
    report.note("")


def _show(report: Report, result: dict[str, Any]) -> None:
    sizes = ", ".join(f"{count / 1024:,.0f} KiB over {path}" for path, count in result["bytes"].items())
    colour = "green" if result["lost"] == result["doubled"] == 0 else "red"
    counted = f"{result['acked']} words acknowledged, {result['lost']} lost, {result['doubled']} doubled."
    report.note(f"\n[bold {colour}]{counted}[/bold {colour}]")
    report.note(f"Both texts have SHA-256 {result['text_sha256'][:16]}…, and the same heads. {sizes}.")


def main() -> None:
    """Run the demo."""
    typer.run(demo)


if __name__ == "__main__":
    main()
