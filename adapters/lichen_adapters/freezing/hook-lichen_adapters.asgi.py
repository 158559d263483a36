"""What PyInstaller does not see of `lichen_adapters.asgi`: the module that pages load."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("lichen_adapters.asgi")
