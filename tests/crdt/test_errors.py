"""Errors on their way between processes, as a pool of workers sends them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from lichen_crdt import CrdtError, InvalidTrace, InvalidValue, MissingDependencies, UnknownBranch, UnreadableField


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize(
    ("error", "attribute"),
    [
        (InvalidValue("an int is needed", ("items", 0, "count")), "path"),
        (InvalidValue("it is too deep", ()), "path"),
        (UnreadableField("nothing is there", "title"), "name"),
        (MissingDependencies("not here", (b"h" * 32,)), "hashes"),
        (InvalidTrace("no  trace"), "hint"),
        (UnknownBranch("draft"), "args"),
    ],
)
def test_an_error_survives_copy_and_pickle(
    error: CrdtError, attribute: str, copied: Callable[[CrdtError], CrdtError]
) -> None:
    again = copied(error)
    assert (type(again), str(again)) == (type(error), str(error))
    assert getattr(again, attribute) == getattr(error, attribute)
