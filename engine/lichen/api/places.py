"""Where a desktop program keeps its store: in the folder that the platform has for such things."""

from __future__ import annotations

import re
from pathlib import Path

from platformdirs import user_data_path

from lichen.errors import ConfigError, StoreReadOnly

PRIVATE_FOLDER = 0o700

_NAME = re.compile(r"[^\W_](?:[\w .()&'+-]{0,62}[\w)'+])?")
_NOT_ON_WINDOWS = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def user_store(app: str, *, author: str = "", name: str = "store") -> str:
    """The address of this user's store of the program `app`, for `Engine.open`; its folder is made, for this user only.

    A folder that is there already keeps its rights.
    On Linux the file is `~/.local/share/APP/NAME.db`, on macOS `~/Library/Application Support/APP/NAME.db`, on Windows
    `AUTHOR/APP/NAME.db` under `%LOCALAPPDATA%`; its key lies beside it. It is never in a folder that roams from one
    computer to the next, since a store is one device. Names may hold letters, digits, blanks and a few signs, up to 64.
    Raises `ConfigError` for others, and `StoreReadOnly` when the folder cannot be made.
    """
    for what, given in {"app": app, "author": author or app, "name": name}.items():
        if not _NAME.fullmatch(given) or _NOT_ON_WINDOWS.match(given):
            raise ConfigError(
                f"{what}={given!r} cannot be a folder or a file everywhere",
                hint="use letters, digits, blanks and dashes, 64 at most",
            )
    folder = user_data_path(app, author or False)
    _make(folder)
    file = str(folder / f"{name}.db").replace("%", "%25")  # an address may have escapes
    return f"sqlite:///{file}"


def _make(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    except OSError as error:
        raise StoreReadOnly(
            f"the folder {folder} cannot be made: {error.strerror}", hint="look at the rights and the space of the disk"
        ) from error
