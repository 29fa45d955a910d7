"""A browser's own EventSource at the stream of changes: it goes on by itself behind the last id."""

import pytest

from tests.browser.page import OpenPage
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

WATCH = """() => {
  window.seen = [];
  window.source = new EventSource("/api/tasks/events");
  source.onmessage = ({ data, lastEventId }) => {
    const { type, taskId = null, task = null } = JSON.parse(data);
    seen.push([type, taskId, task && task.status, lastEventId]);
  };
}"""


@pytest.mark.soak
def test_it_goes_on_behind_the_last_id(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    client = service.client
    with TcpProxy(int(service.url.rpartition(":")[2])).running() as between:
        page = open_page(between.url)
        page.evaluate(WATCH)

        def seen() -> list[list[str]]:
            found: list[list[str]] = page.evaluate("seen")
            return found

        eventually(lambda: seen() and seen()[0][0] == "connected")  # else a start may come before
        before = client.start()
        eventually(lambda: [each[0] for each in seen()].count("reached") == 1)
        upstream.then(Script([piece("one"), gate, finish(), DONE]))
        task = client.start()
        eventually(lambda: [task, "running"] in [each[1:3] for each in seen()])
        count, last_id = len(seen()), seen()[-1][3]
        between.cut()
        gate.open()
        eventually(lambda: [task, "completed"] in [each[1:3] for each in seen()])
        again = seen()[count:]
        assert (again[0][0], again[0][3]) == ("connected", last_id)
        assert before not in [each[1] for each in again]
        page.evaluate("source.close()")
