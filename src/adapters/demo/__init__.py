"""A LanguageModel that needs no account: it streams a sample text.

Every answer begins with a label, so that it is not mistaken for the answer of a real model.
"""

import asyncio
import re
from collections.abc import AsyncGenerator

from application.ports import Finished, LanguageModel
from domain.answer import Piece, Text
from domain.events import Usage
from domain.request import TaskRequest

MODEL_NAME = "longtask-demo"

_TEXT = """\
> **Demo model.** No `OPENAI_API_KEY` is set, so this sample text is streamed instead of an answer.

You asked: {question}

Here is what happens while you read this. Your prompt was recorded as a *task* and handed to a \
queue that speaks QStash's protocol. The queue called this service back with a signed request, \
and the *response* to that request is being held open while the text you see is produced piece by \
piece. Every piece is first added to the task's event log, and only then shown to you.

1. **Reload the page** or connect a second time: the same text appears, from the first word on.
2. **Cut the connection**: the stream goes on from the very next event, with none missing and \
none twice.
3. **Cancel** the task: the text so far is kept.

```python
for event in task.events(after=last_seen):
    print(event.data, end="")
```

To get real answers, set `OPENAI_API_KEY`, or `OPENAI_BASE_URL` for any server that speaks the \
same protocol, and start the service again.
"""


class DemoModel(LanguageModel):
    def __init__(self, tokens_per_second: float) -> None:
        """`tokens_per_second`: 0 streams without pauses."""
        self._pause = 1.0 / tokens_per_second if tokens_per_second > 0 else 0.0

    async def stream(
        self, request: TaskRequest
    ) -> AsyncGenerator[tuple[Piece, ...] | Finished, None]:
        conversation = request.conversation()
        question = str(conversation[-1].get("content") or "")
        shown = question if len(question) <= 200 else question[:200] + "…"
        # Words with the space before them, like the tokens of a model.
        tokens = re.findall(r"\s*\S+|\s+$", _TEXT.format(question=shown.replace("\n", " ")))
        spoken = tokens[: request.max_tokens]
        for token in spoken:
            await asyncio.sleep(self._pause)
            yield (Text(token),)
        asked = sum(len(str(message.get("content")).split()) for message in conversation)
        yield Finished(
            "stop" if len(spoken) == len(tokens) else "length",
            MODEL_NAME,
            Usage(asked, len(spoken), asked + len(spoken)),
        )
