"""Documents as dataclasses and pydantic models: `document.view(Note)`.

Reads validate and report what does not fit; writes become the fewest changes; versions of a model are read through, so
that devices with different ones share a document. Pydantic is used where a program has imported it, and only there.
"""

from __future__ import annotations

from lichen_crdt.typed.candidates import Candidate as Candidate
from lichen_crdt.typed.nodes import Problem as Problem
from lichen_crdt.typed.steps import Convert as Convert
from lichen_crdt.typed.steps import Drop as Drop
from lichen_crdt.typed.steps import Rename as Rename
from lichen_crdt.typed.steps import SetDefault as SetDefault
from lichen_crdt.typed.steps import Step as Step
from lichen_crdt.typed.steps import WrapItems as WrapItems
from lichen_crdt.typed.steps import versioned as versioned
from lichen_crdt.typed.view import Change as Change
from lichen_crdt.typed.view import Draft as Draft
from lichen_crdt.typed.view import Reading as Reading
from lichen_crdt.typed.view import View as View

__all__ = [
    "Candidate",
    "Change",
    "Convert",
    "Draft",
    "Drop",
    "Problem",
    "Reading",
    "Rename",
    "SetDefault",
    "Step",
    "View",
    "WrapItems",
    "versioned",
]
