"""Rows that the database does not take, made such that it does, by a function that their class declares.

What is shown then is another row than the document has, on every device the same: so the function is given nothing but
what the document has, and must be a function of that. The document stays as it is until a session writes the row.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from sqlalchemy.orm import Mapper

from lichen_adapters.orm.objects import attribute_of
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Content, Row, fitting, fixed
from lichen_adapters.orm.synced import REPAIR, Repair

log = logging.getLogger("lichen.orm")


def repaired(planned: SyncedTable, doc: uuid.UUID, key: uuid.UUID, content: Content) -> Row | None:
    """A row as its class puts it right; None where that declares nothing, or what it declares fails."""
    declared: tuple[Mapper[Any], Repair] | None = planned.table.info.get(REPAIR)
    if declared is None:
        return None
    mapper, repair = declared
    there = dict.fromkeys(name for name in planned.columns if name in content) | fitting(planned, content)
    attributes = {name: attribute_of(mapper, planned.table.c[name]) for name in planned.columns}
    columns = {attribute: name for name, attribute in attributes.items() if name not in planned.claiming}
    try:
        made = repair({attributes[name]: there.get(name) for name in planned.columns})
        changed = {columns[attribute]: value for attribute, value in made.items()}
    except Exception:  # the application's own: the row is held
        log.exception("the repair of a row of %s failed, or gives a column of a unique key", planned.name)
        return None
    return there | changed | fixed(planned, doc, key)
