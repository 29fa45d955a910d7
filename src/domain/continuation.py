"""How the next attempt of a task goes on with what the last one said.

Some upstreams keep an answer and give it again from any event on (OpenAI's background responses,
another instance of this service). Others can be asked to go on from a text (prefill). For all
others an attempt begins anew.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Continuation:
    """What is known of an answer that an upstream keeps."""

    begun: int
    """The number of the attempt that asked for the answer first. Each later attempt asks with the
    same idempotency key until the upstream's id of the answer is noted."""
    upstream: str
    """The name of the server that keeps it (`LanguageModel.keeper`)."""
    response_id: str | None = None
    """How the upstream calls it. None: not noted, so it may not have been asked for at all."""
    cursor: int | None = None
    """The last of the upstream's events of which everything is in the log. None: there is none."""
    logged: int = 0
    """The number of events in the log when the cursor was written. A log that is shorter has lost
    its end."""
    advanced_by: int = 0
    """The number of the last attempt that wrote a cursor. 0: none did."""
    released: bool = False
    """Whether the upstream was told that the task has ended."""

    def noted(self, response_id: str) -> "Continuation":
        return replace(self, response_id=response_id)

    def advanced(self, cursor: int, logged: int, attempt: int) -> "Continuation":
        return replace(self, cursor=cursor, logged=logged, advanced_by=attempt)

    def told(self) -> "Continuation":
        return replace(self, released=True)


def kept(written: Continuation | None, noted: Continuation | None) -> Continuation | None:
    """Return the continuation of a record that a transition writes. What was noted of it holds,
    unless the transition begins another one or drops it."""
    same = written is not None and noted is not None and written.begun == noted.begun
    return noted if same else written


@dataclass(frozen=True, slots=True)
class Opening:
    """How the next attempt begins."""

    resumed: bool = False
    """Whether it goes on with what the pieces that count add up to. Otherwise they no longer
    count."""
    keeper: str | None = None
    """The upstream that keeps the answer for which it asks, if it begins anew. None: it keeps
    none."""
    resumes_at: tuple[str, int | None] | None = None
    """The id of the kept answer and the event behind which all of it comes (None: all events), if
    it begins anew but the upstream still has that answer."""
    added: bool = False
    """Whether the attempt before it has added something that this one keeps. Only asked if the
    lease of that attempt has lapsed: the lost attempt then does not count."""

    def continuation(self, attempt: int) -> Continuation | None:
        """Return that of an attempt that begins anew."""
        if self.keeper is None:
            return None
        response_id, cursor = self.resumes_at or (None, None)
        return Continuation(attempt, self.keeper, response_id, cursor)


ANEW = Opening()
