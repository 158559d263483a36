"""The shared log, as two people use it: in two terminals, with keys, and a picture of it for the docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from examples_running import ALONE, EXAMPLES, PICTURES, Instance, begin_another, is_short, running, without_font

ENTRIES = "[f'{row.who}{\" *\" if row.starred else \"\"}: {row.what}' for row in find('entries').rows]"
PINNED = "find('pinned').text"
HERE_TOO = "Also on this device: Night watch of Ann"
INVITATION = "str(find('invitation').content)"


def test_a_crew_keeps_one_log(tmp_path: Path) -> None:
    with running("drive_textual.py", "shared_log.py", tmp_path) as begin:
        ann, ben, ticket = _begin(begin, tmp_path)
        _log(ann, ben)
        _pin(ann, ben)
        _picture(ann, tmp_path)
        assert ann.close() == f"{ticket}\n", "where it is one line to copy"
        assert {file.name for file in (tmp_path / "Shared log").iterdir()} == {"store.db", "store.db.key"}
        ben.do("type_in('what', 'Alone')")
        ben.do("press('what', 'enter')")
        ben.close()
        again = begin("ben.db")
        again.do("type_in('what', 'Still alone')")
        again.do("press('what', 'enter')")
        again.until(f"{ENTRIES}[-2:]", ["Ben: Alone", "Ben: Still alone"])
        assert again.do(PINNED).startswith("Ann: bridge")
        again.close()
        begin_another(tmp_path / "ben.db", "Mine")
        another = begin("ben.db", "--name", "Ben")
        another.until("str(find('there').content).splitlines()[1:]", [ALONE, HERE_TOO])
        another.until(ENTRIES, [])
        another.until("find('entries').border_subtitle", "Nothing yet: write below what happens")
        another.do("type_in('what', 'First')")
        another.do("press('what', 'enter')")
        another.until("find('entries').border_subtitle", "")
        another.close()


def _begin(begin: Callable[..., Instance], folder: Path) -> tuple[Instance, Instance, str]:
    ann = begin("--name", "Ann", "--at", "ws://127.0.0.1:0", XDG_DATA_HOME=str(folder))
    ann.do("press('what', 'f2')")
    ann.until(f"{INVITATION}.startswith('lichen1')", True)
    ticket = ann.do("app.ticket")
    assert ann.do(INVITATION).startswith(f"{ticket}\n")
    assert ann.do("[find('invitation').display, app.clipboard]") == [True, ticket]
    ben = begin("ben.db", ticket, "--name", "Ben")
    ann.until("str(find('there').content)", "Ann  ●  Ben here")
    ben.until("str(find('there').content)", "Ben  ●  Ann here")
    for terminal in (ann, ben):  # it goes from Ann's; Ben invites nobody
        terminal.do("press('what', 'f2')")
        assert not terminal.do("find('invitation').display")
    return ann, ben, ticket


def _log(ann: Instance, ben: Instance) -> None:
    said = [
        (ann, "Ann: Left the harbour, wind south-west 4"),
        (ben, "Ben: Fixed the starboard lamp 💡"),
        (ann, "Ann: Fog, sounding the horn every two minutes"),
        (ben, "Ben: Fog is gone"),
        (ben, "Ben: oops"),
    ]
    for number, (who, entry) in enumerate(said, 1):
        who.do(f"type_in('what', {entry.partition(': ')[2]!r})")
        who.do("press('what', 'enter')")
        for terminal in (ann, ben):
            terminal.until(ENTRIES, [entry for _, entry in said[:number]])
    ben.do("press('entries', 'end')")
    ann.do("press('entries', 'home', 'down', 'down', 'enter')")
    starred = [entry.replace("Ann: Fog", "Ann *: Fog") for _, entry in said]
    for terminal in (ann, ben):
        terminal.until(ENTRIES, starred)
    ben.do("press('entries', 'delete')")
    for terminal in (ann, ben):
        terminal.until(ENTRIES, starred[:-1])
    assert ann.do("find('entries').highlighted") == 2


def _pin(ann: Instance, ben: Instance) -> None:
    """Both write the pinned text, one of them in the middle of what the other goes on with."""
    ann.do("type_in('pinned', 'Ann: bridge until 02:00\\n')")
    ben.until(PINNED, "Ann: bridge until 02:00\n")
    ben.do("press('pinned', 'down', 'end')")
    ben.do("type_in('pinned', 'Ben: engine, then tea 🫖')")
    ann.until(PINNED, "Ann: bridge until 02:00\nBen: engine, then tea 🫖")
    ann.do("press('pinned', 'up', 'home', *['right'] * 11)")
    ann.do("type_in('pinned', ' and lookout')")
    both = "Ann: bridge and lookout until 02:00\nBen: engine, then tea 🫖"
    for terminal in (ann, ben):
        terminal.until(PINNED, both)
    assert ann.do("find('pinned').cursor_location") == [0, 23]
    ben.do("press('pinned', 'ctrl+z')")
    ann.until(PINNED, "Ann: bridge and lookout until 02:00\n")
    ben.do("press('pinned', 'ctrl+y')")
    for terminal in (ann, ben):
        terminal.until(PINNED, both)


def _picture(ann: Instance, folder: Path) -> None:
    ann.do("press('what')")
    ann.do(f"picture({str(folder / 'shared-log.svg')!r})")
    picture = (folder / "shared-log.svg").read_text()
    assert "Fixed&#160;the&#160;starboard" in picture
    if PICTURES:
        (EXAMPLES.parent / PICTURES / "shared-log.svg").write_text(without_font(picture))


def test_the_example_is_short_enough_to_begin_with() -> None:
    assert is_short("shared_log.py")
