"""A text in the person's own editor."""

from __future__ import annotations

import sys

import pytest
from lichen.cli.editor import edited
from lichen.errors import ConfigError


@pytest.fixture(autouse=True)
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.delenv("VISUAL", raising=False)


def test_what_was_saved_comes_back_without_the_line_end_that_editors_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", 'sh -c \'echo "bröd und" >>"$0"\'')
    assert edited("eggs\r\n") == "eggs\r\nbröd und\n"
    assert edited("eggs, ") == "eggs, bröd und"


def test_a_text_that_was_left_as_it_was_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for editor in ("true", "sh -c 'echo >>\"$0\"'"):
        monkeypatch.setenv("EDITOR", editor)
        with pytest.raises(ConfigError, match="nothing was changed"):
            edited("eggs")


@pytest.mark.parametrize("editor", ["false", "no-such-editor", "sh -c 'printf \\\\377 >$0'", "'"])
def test_an_editor_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, editor: str) -> None:
    monkeypatch.setenv("EDITOR", editor)
    with pytest.raises(ConfigError, match="failed"):
        edited("eggs")
