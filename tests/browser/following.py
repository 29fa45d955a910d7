"""A page of a user that follows a task with /web/longtask.js."""

from typing import Any

from playwright.sync_api import Page

MODULE = "/web/longtask.js"
Task = dict[str, Any]

_FOLLOW = """async ({ module, task, options, link }) => {
    const { follow } = await import(module);
    const seen = { texts: [], answers: [], ids: [], statuses: [], connection: [], renewed: 0 };
    window.seen = seen;
    const renew = link && (async () => { seen.renewed += 1; return (await fetch(link)).text(); });
    try {
        seen.end = await follow(task, {
            ...options,
            renew,
            onText: (text) => seen.texts.push(text),
            onAnswer: (answer) => seen.answers.push(answer),
            onStatus: (status) => seen.statuses.push(status),
            onEvent: (event, id) => id && seen.ids.push(id),
            onConnection: (state) => seen.connection.push(state),
        });
    } catch ({ name, message, status, code, retryable }) {
        seen.error = { name, message, status, code, retryable };
    }
    return seen;
}"""


def followed(page: Page, task: Task, module: str = MODULE) -> dict[str, Any]:
    """What a page sees that follows a task to its end."""
    begin_to_follow(page, task, module)
    seen: dict[str, Any] = page.evaluate("window.following")
    return seen


def begin_to_follow(
    page: Page,
    task: Task,
    module: str = MODULE,
    options: dict[str, str] | None = None,
    link: str | None = None,
) -> None:
    """What the page sees is in `window.seen`, and comes from the promise `window.following`. `link`
    is where it gets fresh links."""
    how = {"module": module, "task": task, "options": options or {}, "link": link}
    page.evaluate(f"(how) => {{ window.following = ({_FOLLOW})(how); }}", how)
