"""The ids that OpenAI's clients are given."""

import pytest

from entrypoints.http.openai.ids import item_id, parse_item_id, response_id, task_of_response


def test_the_ids_of_a_task_are_found_again() -> None:
    task_id = "task_1_ab"
    assert task_of_response(response_id(task_id)) == task_id
    assert [parse_item_id(item_id(kind, task_id, 2)) for kind in ("msg", "rs", "fc")] == [
        (kind, task_id, 2) for kind in ("msg", "rs", "fc")
    ]


@pytest.mark.parametrize(
    "unknown", ["", "resp_", "task_1", "resp_a/b", "msg_1", "msg_a_b", "x_a_1", "msg_task_1_ab_01"]
)
def test_what_is_no_id_names_no_task(unknown: str) -> None:
    assert (task_of_response(unknown), parse_item_id(unknown)) == (None, None)
