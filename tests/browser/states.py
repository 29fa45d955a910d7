"""Every state that the page can be in, and how it gets there: for eyes (`look.py`) and for axe.

The tasks are started once, at a service whose model is scripted. Those that are to go on do so until
the model's server ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.browser.page import choose, status
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.running import Client

Tasks = dict[str, str]
"""The ids of the tasks, by what has become of each."""

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA"
    "60e6kgAAAABJRU5ErkJggg=="
)
FORMULAS = r"""# Sums

Inline \(e^{i\pi} + 1 = 0\), and alone:

$$\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}$$

| queue | delivery | order | a column that is rather wide |
|---|---|--:|---|
| one | at least once | 1 | whatever it takes to be wider than a phone is |
| two | exactly once | 2 | less |

```python
def rate(tokens: int, seconds: float) -> float:
    return tokens / seconds  # a comment that makes this line longer than a phone is wide
```

> A quote, with a [link](https://example.org/) and `code`[^1].

- [x] done
- [ ] to do

[^1]: A note.
"""
SECTION = "A paragraph of some length, which says little and is there to be read. " * 5
LONG = "".join(f"## Part {number}: what it means\n\n{SECTION}\n\n" for number in range(1, 9))
PROMPT = "Explain the CAP theorem in detail, and what it means for a queue."


def started(client: Client, upstream: Upstream) -> Tasks:
    """Start the tasks, and wait until each is where it is to be."""
    gate = Gate()  # which nothing opens
    tasks: Tasks = {}

    def start(name: str, *scripts: Script, until: str, **fields: object) -> None:
        upstream.then(*scripts)
        fields.setdefault("prompt", PROMPT)
        tasks[name] = client.start(**fields)  # type: ignore[arg-type]
        client.events(
            tasks[name],
            until=lambda seen: (
                seen.events[-1].data.get("data") == until or seen.events[-1].type == until
            ),
        )

    start("done", Script(answer(FORMULAS)), until="end")
    start("long", Script(answer(LONG)), until="end")
    start("cut", Script(answer("Half an answer, and then", reason="length")), until="end")
    start("streaming", Script([piece(f"## So far\n\n{SECTION}"), gate]), until="content")
    start("reasoning", Script([reasoning(SECTION), gate]), until="reasoning")
    start("thinking", Script([gate]), until="running")
    tool = [
        call(0, '{"city": "Paris", "days": 3}', "call_1", "weather"),
        finish("tool_calls"),
        DONE,
    ]
    start("tools", Script(tool), until="end")
    start("failed", refusal(401, "invalid_api_key"), until="error")
    start("refused", refusal(400, "context_length_exceeded"), until="error")
    limited = refusal(429, "rate_limit_exceeded", **{"retry-after": "3600"})
    start("lost", limited, until="pending")
    client.events(tasks["lost"], until=lambda seen: "nextAttemptAt" in seen.events[-1].data)
    start(
        "resumed",
        Script([piece(SECTION)], cut=True),
        Script(answer("Anew. ", SECTION)),
        until="end",
    )
    parts = [{"type": "text", "text": "What is this?"}]
    parts += [{"type": "image_url", "image_url": {"url": PIXEL}}]  # type: ignore[dict-item]
    picture = [{"role": "user", "content": parts}]
    start("image", Script(answer("A pixel.")), until="end", prompt=None, messages=picture)
    start(
        "conversation",
        Script(answer("And on.")),
        until="end",
        prompt="And what follows from that?",
        previousTaskId=tasks["done"],
    )
    start("cancelled", Script([piece(SECTION), gate]), until="content")
    assert client.http.post(f"/api/tasks/{tasks['cancelled']}/cancel").status_code == 202
    client.wait_for(tasks["cancelled"], "cancelled")
    return tasks


@dataclass(frozen=True, slots=True)
class State:
    task: str | None
    """Which task is open."""
    status: str | None
    then: Callable[[Page], None] = lambda _: None
    """What is done there."""


def _press(selector: str) -> Callable[[Page], None]:
    return lambda page: page.click(selector)


def _drawer(page: Page) -> None:
    if page.locator("#side-open").is_visible():
        page.click("#side-open")
    expect(page.locator("#search")).to_be_visible()


def _unfound(page: Page) -> None:
    _drawer(page)
    page.fill("#search", "nothing has this title")


def _events(page: Page) -> None:
    choose(page, "rawEvents")
    page.locator(".events-rows summary").last.click()


def _run(page: Page) -> None:
    if page.locator("#run-toggle").is_visible():
        page.click("#run-toggle")
    else:  # a phone has it in its menu
        choose(page, "run")
    expect(page.locator(".timeline")).to_be_visible()


def _composer(page: Page) -> None:
    page.click("#options-toggle")
    page.fill("#prompt", "A prompt\nof several\nlines")


def _wrong_options(page: Page) -> None:
    _composer(page)
    page.fill("#json", "{no json")
    page.click("#submit")
    expect(page.locator("#start-error")).to_be_visible()


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.locator("dialog[open]")).to_be_visible()


def _keys(page: Page) -> None:
    page.locator("#title").click()
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_be_visible()


def _delete(page: Page) -> None:
    # Until the service's list is there, the page offers to remove the task from its own.
    expect(page.locator("#list .model").first).to_be_attached()
    choose(page, "delete")


def _outline(page: Page) -> None:
    page.click("#outline-toggle")


STATES: dict[str, State] = {
    "empty": State(None, None),
    "composer": State(None, None, _composer),
    "wrong-options": State(None, None, _wrong_options),
    "streaming": State("streaming", "running"),
    "reasoning": State("reasoning", "running", _press("#reasoning summary")),
    "thinking": State("thinking", "running"),
    "lost": State("lost", "pending"),
    "lost-run": State("lost", "pending", _run),
    "tools": State("tools", "completed"),
    "done": State("done", "completed", lambda page: page.evaluate("scrollTo(0, 0)")),
    "done-run": State("resumed", "completed", _run),
    "events": State("resumed", "completed", _events),
    "menu": State("done", "completed", _press("#more")),
    "markdown": State("done", "completed", lambda page: choose(page, "raw")),
    "long": State("long", "completed"),
    "outline": State("long", "completed", _outline),
    "cut": State("cut", "completed"),
    "failed": State("failed", "failed"),
    "refused": State("refused", "failed"),
    "cancelled": State("cancelled", "cancelled"),
    "image": State("image", "completed"),
    "conversation": State("conversation", "completed", _press("#before-title")),
    "unknown": State("unknown", "failed"),
    "drawer": State("done", "completed", _drawer),
    "unfound": State("done", "completed", _unfound),
    "palette": State("done", "completed", _palette),
    "keys": State("done", "completed", _keys),
    "deleting": State("done", "completed", _delete),
    "deleting-running": State("streaming", "running", _delete),
}


def reach(page: Page, url: str, tasks: Tasks, state: State) -> None:
    """Bring a page into a state, from wherever it is."""
    address = "start" if state.task is None else tasks.get(state.task, "task_1_unknown")
    page.goto("about:blank")
    page.goto(f"{url}#{address}")
    if state.status is None:
        expect(page.locator("#welcome")).to_be_visible()
    else:
        status(page, state.status)
    state.then(page)
