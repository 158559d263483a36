"""Where a desktop program's store lies: in this user's own folder, which nobody else may enter."""

from __future__ import annotations

from pathlib import Path

import pytest
from lichen import user_store
from lichen.blocking import Engine
from lichen.errors import ConfigError, StoreReadOnly


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d#ta ?%20"))
    return tmp_path / "d#ta ?%20"


def test_a_store_is_opened_where_the_platform_keeps_data_and_is_for_this_user_alone(home: Path) -> None:
    with Engine.open(user_store("Ann's list (2)")) as engine:
        engine.create_space("Home")
    folder = home / "Ann's list (2)"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "store.db").stat().st_size > 0
    with Engine.open(user_store("Ann's list (2)", author="Example", name="store"), create=False) as engine:
        assert [space.name for space in engine.spaces] == ["Home"]
    folder.chmod(0o750)
    assert user_store("Ann's list (2)", name="work").endswith("d#ta ?%2520/Ann's list (2)/work.db")
    assert folder.stat().st_mode & 0o777 == 0o750, "what the user has set stays"


@pytest.mark.parametrize(
    "app", ["", "..", "a/b", "a\\b", ".hidden", "-x", "x.", "x ", "a:b", "CON", "nul.txt", "x\n", "x" * 65]
)
def test_a_name_that_is_no_folder_everywhere_is_refused(home: Path, app: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a folder or a file everywhere"):
        user_store(app)
    with pytest.raises(ConfigError, match="name="):
        user_store("App", name=app)
    assert not home.exists()


def test_a_folder_that_cannot_be_made_is_told(home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(StoreReadOnly, match="App cannot be made: "):
        user_store("App")
