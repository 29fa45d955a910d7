"""The ids that OpenAI's clients are given."""

import pytest

from entrypoints.http.openai.ids import response_id, task_of_item, task_of_response


def test_the_ids_of_a_task_are_found_again() -> None:
    task_id = "task_1_ab"
    assert task_of_response(response_id(task_id)) == task_id
    assert [task_of_item(f"{kind}_{task_id}_2") for kind in ("msg", "rs", "fc")] == [task_id] * 3


@pytest.mark.parametrize(
    "unknown", ["", "resp_", "task_1", "resp_a/b", "msg_1", "msg_a_b", "x_a_1"]
)
def test_what_is_no_id_names_no_task(unknown: str) -> None:
    assert (task_of_response(unknown), task_of_item(unknown)) == (None, None)
