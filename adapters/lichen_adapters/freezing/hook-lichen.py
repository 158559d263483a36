"""What PyInstaller does not see by reading `lichen`: names that load when they are used, and entry points."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_entry_point, collect_submodules, copy_metadata

transports, transport_modules = collect_entry_point("lichen.transports")

datas = [
    *copy_metadata("lichen"),
    *transports,
    # Alembic reads its scripts as files
    *collect_data_files("lichen.store.migrations", include_py_files=True),
]
hiddenimports = [
    *transport_modules,
    *collect_submodules("lichen", filter=lambda name: not name.startswith(("lichen.testing", "lichen.cli"))),
    # SQLAlchemy loads drivers by the name in a URL
    "aiosqlite",
    "sqlcipher3.dbapi2",
]
