"""Errors of lichen as answers that a page understands."""

from __future__ import annotations

from lichen.errors import (
    AccessDenied,
    ChangeTooLarge,
    ConfigError,
    EngineMisuse,
    LichenError,
    LimitExceeded,
    LinkError,
    NotFound,
    StoreError,
    StoreFull,
    TicketError,
)
from sqlalchemy.exc import NoResultFound
from starlette.requests import Request
from starlette.responses import JSONResponse

from lichen_adapters.orm.errors import Misfit, SessionMisuse
from lichen_adapters.orm.search_words import SearchTooLong

STATUS: tuple[tuple[type[LichenError], int], ...] = (
    (NotFound, 404),
    (AccessDenied, 403),
    (ChangeTooLarge, 413),
    (SearchTooLong, 400),
    (LimitExceeded, 429),
    (TicketError, 400),
    (Misfit, 422),
    (ConfigError, 400),
    (StoreFull, 507),
    (StoreError, 503),
    (EngineMisuse, 503),
    (LinkError, 504),
    (SessionMisuse, 500),
)
"""The first class that an error is of says its status; 500 where there is none."""


class BadFrame(LichenError):
    """A page sent what no page of ours sends."""


class TooSlow(LimitExceeded):
    """A page does not read what it is told."""


def status_of(error: LichenError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def described(error: BaseException) -> dict[str, str]:
    """An error as JSON. Of what is no error of lichen's, a page learns nothing more than that it was there."""
    if isinstance(error, LichenError):
        return {"type": type(error).__name__, "message": str(error), "hint": error.hint}
    if isinstance(error, NoResultFound):
        return {"type": "NotFound", "message": "this row is not there", "hint": "it may have been deleted meanwhile"}
    return {"type": "InternalError", "message": "something failed in the program", "hint": "see its log"}


async def answer(_request: Request, error: Exception) -> JSONResponse:
    """An exception handler for applications: `{"error": {"type", "message", "hint"}}` with the status of its kind."""
    status = status_of(error) if isinstance(error, LichenError) else 500
    return JSONResponse({"error": described(error)}, status)


async def missing(_request: Request, error: Exception) -> JSONResponse:
    """As `answer`, for a row that is not there, as in `session.get_one()`."""
    return JSONResponse({"error": described(error)}, 404)


async def conflict(_request: Request, error: Exception) -> JSONResponse:
    """As `answer`, for what the database refuses, such as a key that is taken."""
    hint = "load the page again, and give another value"
    return JSONResponse(
        {"error": {"type": "Conflict", "message": str(getattr(error, "orig", error)), "hint": hint}}, 409
    )
