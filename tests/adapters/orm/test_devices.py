"""Random work on several devices: rows are what documents say, and all end the same. `make orm EXAMPLES=n SEED=n`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from lichen_adapters.orm import journal_sqlite
from lichen_adapters.orm.plan import SyncedTable
from orm_moves import Moves
from orm_strategies import DEVICES
from orm_work import Work

EXAMPLES = int(os.environ.get("EXAMPLES") or 15)
GIVEN = os.environ.get("SEED") or "1"  # the suite begins with the same examples each time; `make orm` takes others
SEED = secrets.randbelow(2**32) if GIVEN == "random" else int(GIVEN)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
def test_with_one_trigger_that_does_not_fire_they_are_not(monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    made = journal_sqlite._triggers

    def but_one(planned: SyncedTable) -> Iterable[tuple[str, str]]:
        gone = f" AFTER {event}" if planned.name == "user_account" else "nothing"
        for name, ddl in made(planned):
            yield name, ddl.replace(" BEGIN ", " WHEN 0 BEGIN ", 1) if gone in ddl else ddl  # one missing is an error

    monkeypatch.setattr(journal_sqlite, "_triggers", but_one)
    given = settings(max_examples=30, phases=[Phase.generate], report_multiple_bugs=False, database=None, deadline=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(seed(1)(Work), settings=given)  # type: ignore[no-untyped-call]  # it has no types


def test_rows_are_what_documents_say_after_any_work(database: str) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    examples = EXAMPLES if database == "sqlite" else max(1, EXAMPLES // 5)  # each makes a database for each device
    given = settings(max_examples=examples, stateful_step_count=25, suppress_health_check=quiet, database=None)
    print(f"make orm EXAMPLES={EXAMPLES} SEED={SEED} DEVICES={DEVICES}")
    run_state_machine_as_test(seed(SEED)(Work), settings=given)  # type: ignore[no-untyped-call]  # it has no types


def test_parts_that_are_moved_are_what_documents_say(database: str) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    examples = EXAMPLES if database == "sqlite" else max(1, EXAMPLES // 5)
    given = settings(max_examples=examples, stateful_step_count=10, suppress_health_check=quiet, database=None)
    run_state_machine_as_test(seed(SEED)(Moves), settings=given)  # type: ignore[no-untyped-call]  # it has no types
