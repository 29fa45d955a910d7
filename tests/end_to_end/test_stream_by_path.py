"""The stream of a task whose id stands in the path: the same as by the query."""

import httpx

from tests.doubles.upstream import Upstream
from tests.end_to_end.guarded import alices
from tests.running import Running


def test_it_gives_the_same_events(shared_service: Running) -> None:
    task = shared_service.client.start()
    seen = shared_service.client.events(task)
    path, http = f"/api/tasks/{task}/stream", shared_service.client.http
    lines = http.get(path).text.splitlines()
    ids = [each.removeprefix("id: ") for each in lines if each.startswith("id: ")]
    assert ids == [each.id for each in seen.logged]
    assert http.get(path, params={"lastEventId": ids[-1]}).status_code == 204
    assert http.get(path, headers={"Last-Event-ID": ids[-1]}).status_code == 204
    assert http.get("/api/tasks/task_1_none/stream").status_code == 404
    assert http.get("/api/tasks/a..b/stream").json()["errors"][0]["field"] == "taskId"


def test_the_token_of_a_link_opens_it_for_its_task_alone() -> None:
    with Upstream().running() as upstream, alices(upstream) as service:
        task, other = service.client.start(), service.client.start()
        service.client.wait_for(task, "completed")
        token = service.client.record(task)["streamUrl"].partition("token=")[2]
        path = f"{service.url}/api/tasks/{{}}/stream?token={token}"
        assert "Hello, world." in httpx.get(path.format(task)).text
        for refused in (path.format(other), f"{path.format(other)}&taskId={task}"):
            assert httpx.get(refused).status_code == 401
