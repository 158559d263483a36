"""Adapters: how other libraries meet lichen (an ORM, data classes, desktop toolkits, sync protocols, web servers).

They stand on the engine and on `lichen_crdt`, never on a transport, and no transport stands on them.
`lichen_adapters.orm` is SQLAlchemy's ORM; `lichen_adapters.text` is a synced text in a widget of any toolkit;
`lichen_adapters.tk`, `qt` and `textual` show both in these toolkits, and `asgi` in pages of web programs;
`freezing` is for PyInstaller.
"""
