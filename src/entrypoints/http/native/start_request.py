"""Reading the body of a start."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request
from litestar.plugins.problem_details import ProblemDetailsException

from entrypoints.http.native.bodies import StartBody
from entrypoints.http.problems import bad_field, problem
from entrypoints.http.start_bodies import SHORT, StartBodies

_decode_start = msgspec.json.Decoder(StartBody).decode


class StartRequest(Request[Any, Any, Any]):
    """Reads the body of a start strictly. Litestar alone would accept "10" for 10.

    A form or plain text is refused: a page of another origin can send those without a preflight
    request, and must not start a task.
    """

    def stream(self) -> AsyncGenerator[bytes, None]:
        if 0 < (self.content_length or 0) <= SHORT:
            return super().stream()
        bodies: StartBodies = self.app.state.start_bodies
        return bodies.counted(super().stream())

    async def json(self) -> StartBody:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise problem(
                415,
                "unsupported-media-type",
                "The body must be application/json.",
                errors=[{"field": "Content-Type", "message": "must be application/json"}],
            )
        try:
            return _decode_start(await self.body())
        except msgspec.ValidationError as error:
            raise _wrong_shape(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise bad_field("body", "is not valid JSON") from None


def _wrong_shape(message: str) -> ProblemDetailsException:
    """The problem of a value of another type, or of a missing or unknown field, from msgspec's
    message: "Expected `int`, got `str` - at `$.maxTokens`"."""
    message, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if named := re.search(r"(unknown|missing required) field `([^`]+)`", message):
        field = f"{field}.{named[2]}".lstrip(".")
        message = "unknown field" if named[1] == "unknown" else "is required"
    return bad_field(field.removesuffix("[...]") or "body", message.replace("`", ""))
