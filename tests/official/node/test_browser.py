"""openai-node in a browser, on a page of another origin that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from entrypoints.api_keys import new_key
from tests.browser.program import running_browser
from tests.doubles.upstream import Upstream, refusal
from tests.official.node.clients import Node
from tests.running import running_service, settings_for
from tests.waiting import within

pytestmark = pytest.mark.soak

KEY, ENTRY = new_key("alice")
CALLS = """async ([url, apiKey]) => {
  const { default: OpenAI } = await import("/node_modules/openai/index.mjs");
  const options = { baseURL: `${url}/v1`, apiKey, dangerouslyAllowBrowser: true };
  const defaults = { organization: "org", project: "proj" };
  const client = new OpenAI({ ...options, ...defaults });
  const body = { model: "test-model", input: "Hi.", background: true };
  const { data: made, response } = await client.responses
    .create(body, { headers: { "Idempotency-Key": "a" } })
    .withResponse();
  const stream = client.responses.stream({ response_id: made.id });
  const { output_text: text } = await stream.finalResponse();
  const cancelled = await client.responses.cancel(made.id);
  const { deleted } = await client.responses.delete(made.id);
  const gone = await client.responses.retrieve(made.id).catch((error) => error.status);
  const chat = { model: "test-model", messages: [{ role: "user", content: "Hi." }] };
  const failed = await client.chat.completions.create(chat).catch((error) => error);
  return {
    text, status: cancelled.status, deleted, gone,
    failed: [failed.code, failed.headers.get("x-should-retry")],
    id: made.id, task: response.headers.get("x-longtask-task-id"),
    request: made._request_id,
  };
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def other_origin(folder: Path) -> Iterator[str]:
    """Serves the packages to a page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_of_a_named_origin_may_make_every_call(node: Node, upstream: Upstream) -> None:
    with (
        other_origin(node.folder) as origin,
        running_service(
            settings_for(
                openai_base_url=upstream.url,
                api_keys=ENTRY,
                stream_secret="a secret of forty characters, or even more",
                cors_origins=origin,
                qstash_retry_delay="50",
            )
        ) as service,
        running_browser() as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(within(30) * 1000)
        page.goto(f"{origin}/common.mjs")
        upstream.scripts.append(upstream.always)
        upstream.always = refusal(500)
        seen = page.evaluate(CALLS, [service.url, KEY])
    assert seen["text"] == "Hello, world."
    assert seen["status"] == "completed"
    assert seen["deleted"] is True
    assert seen["gone"] == 404
    assert seen["failed"] == ["model_error", "false"]
    assert len(upstream.received) == 1 + 4  # the queue tries four times, and the page once
    assert seen["id"] == f"resp_{seen['task']}"
    assert seen["request"]
