"""What PyInstaller does not see of Textual: widgets that load when they are named, and how languages are coloured."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("textual")
hiddenimports = collect_submodules("textual.widgets")
