"""What one attempt goes on with, and what it leaves for the next one to go on with."""

from functools import cached_property, partial

from application.earlier import Earlier, total
from application.errors import ContinuationLost
from application.openings import kept_for
from application.ports import AttemptsObserver, LanguageModel, Resumption, TaskLog, Tokens
from application.store_retries import StoreRetries
from application.transcript import Transcript
from application.usage_count import tokens_of
from domain.attempt import Attempt
from domain.continuation import Continuation
from domain.events import Usage
from domain.failure import CONTINUATION_LOST
from domain.request import TaskRequest


class Continuing:
    def __init__(
        self,
        attempt: Attempt,
        request: TaskRequest,
        tasks: TaskLog,
        model: LanguageModel,
        observer: AttemptsObserver,
        transcript: Transcript,
    ) -> None:
        """`transcript`: that of the attempt. It is given what earlier ones said."""
        self.kept: Continuation | None = kept_for(model, attempt.task)
        """The answer that the upstream keeps, if it keeps one."""
        self._keeping = self.kept is not None
        self.noted = self.kept is not None and self.kept.response_id is not None
        """Whether the record says how the upstream calls it."""
        self._attempt = attempt
        self._request = request
        self._tasks = tasks
        self._model = model
        self._observer = observer
        self._transcript = transcript
        self._earlier = Earlier(transcript)
        self.resumed = False
        """Whether it goes on with something that may be gone."""
        self.counted = Tokens()
        """What earlier attempts have counted of the answer that an upstream keeps."""
        self.spent_before = 0
        """Tokens that earlier attempts have used, without what this one adds to `counted`."""

    async def resumption(self, retries: StoreRetries, lease: float) -> Resumption | None:
        """Read what earlier attempts have left in the log, and return what the model goes on with.
        None: it begins, and no upstream keeps what it says. Raises ContinuationLost."""
        attempt, earlier, kept = self._attempt, self._earlier, self.kept
        if attempt.number > 1:
            read = partial(earlier.read, self._tasks, attempt.task.id, attempt.logged)
            await retries.while_leased(read, lease)
        self.resumed = self.noted or earlier.resumed
        said = self._transcript.answer()
        self._settle()
        if kept is not None and earlier.covered != kept.logged:
            # The upstream has it: all of it is read once more.
            at = None if kept.response_id is None else (kept.response_id, None)
            words = "The log has lost what it had of the answer."
            raise ContinuationLost(CONTINUATION_LOST, words, resumes_at=at)
        if kept is None and earlier.resumed and not self._model.goes_on(self._request, said):
            raise ContinuationLost(CONTINUATION_LOST, "The model cannot go on from the answer.")
        self._observe()
        if kept is not None:
            return Resumption(f"longtask-{attempt.task.id}-{kept.begun}", said, kept)
        if earlier.resumed:
            return Resumption(f"longtask-{attempt.task.id}-{attempt.number}", said)
        return None

    async def note(self, attempt: Attempt, response_id: str) -> None:
        """Write into the record how the upstream calls its answer, unless it says so already.
        Raises as `TaskLog.note_response`."""
        if self.kept is None or (self.noted and self.kept.response_id == response_id):
            return
        self.kept, self.noted = self.kept.noted(response_id), False
        await self._tasks.note_response(attempt, response_id)
        self.noted = True

    def goes_on(self) -> bool:
        """Whether the next attempt can go on with what was said so far."""
        if self.kept is not None:
            return self.noted
        said = self._transcript.answer()
        return said.size > 0 and self._model.goes_on(self._request, said)

    @property
    def is_handed_over(self) -> bool:
        """Whether the next attempt goes on with the answer of the same upstream."""
        unsaid = self._transcript.characters == 0
        return self.kept is not None and (self.noted or unsaid)

    def estimate(self) -> Usage:
        """Estimate what was used of the model for the answer so far. An upstream that keeps it made
        all of it; a model that went on from a text, only the last part."""
        asked, said, taken_over = self.asked, self._transcript.tokens(), self._taken_over
        return Usage.estimate(asked + taken_over, max(0, said - taken_over))

    def counted_for_good(self, used: Tokens, *, ended: bool, rereads: bool) -> Tokens:
        """Return what stays counted of what this attempt has used, once it is over: what the next
        one takes as counted (`counted`) if that goes on with the same answer. `ended`: whether the
        task has ended. `rereads`: whether the next one reads all of the answer once more."""
        if ended or not self.is_handed_over:
            return used
        if rereads:
            return Tokens(self.asked) + -self.counted
        if not used or not (self.noted or self._transcript.characters):
            return Tokens()
        # Also if the upstream has reported more: the next one hears that, too.
        return tokens_of(self.estimate()) + -self.counted

    def total(self, own: Usage) -> Usage:
        """Return the usage of a whole answer: of this attempt, and of all others that have said any
        of it."""
        if not self._taken_over:
            return own
        return total(self._earlier.usage_before(self.asked), own)

    @property
    def _taken_over(self) -> int:
        return 0 if self._keeping else self._earlier.taken_over

    @cached_property
    def asked(self) -> int:
        """About how many tokens the text of the request costs."""
        return self._request.tokens()

    def _settle(self) -> None:
        """Find out what earlier attempts have used."""
        earlier, said = self._earlier, self._transcript.tokens()
        if self.kept is not None:
            if said or self.kept.response_id is not None:
                self.counted = Tokens(self.asked, 0, said)
            before = self.counted.total
        elif earlier.resumed:
            before = earlier.usage_before(self.asked).total_tokens
        else:
            before = 0
        self.spent_before = before + (
            earlier.discarded_by(self.asked) if self._attempt.number > 1 else 0
        )

    def _observe(self) -> None:
        kept, earlier = self.kept, self._earlier
        if kept is not None and kept.begun < self._attempt.number and kept.response_id is None:
            self._observer.asked_again()
        elif kept is not None and kept.begun < self._attempt.number:
            self._observer.resumed("kept", self._transcript.answer().tokens)
        elif earlier.resumed:
            self._observer.resumed("prefill", earlier.taken_over)
        elif earlier.thrown_away and (kept is None or kept.response_id is None):
            self._observer.thrown_away(earlier.thrown_away)
