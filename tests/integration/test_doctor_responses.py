"""The doctor tries whether a server keeps its answers."""

from pydantic import SecretStr

from entrypoints.doctor.responses import check_responses
from entrypoints.settings.model import ModelSettings
from tests.doubles.responses_upstream import ResponsesUpstream
from tests.doubles.upstream import refusal


async def _said(upstream: ResponsesUpstream, api: str = "responses") -> list[str]:
    settings = ModelSettings(
        openai_base_url=upstream.url,
        openai_api_key=SecretStr("sk-planted-secret"),
        openai_api=api,  # type: ignore[arg-type]
        default_model="m",
    )
    return [str(finding) async for finding in check_responses(settings)]


async def test_a_server_that_keeps_its_answers(responses_upstream: ResponsesUpstream) -> None:
    [said] = await _said(responses_upstream)
    assert "ok" in said
    assert "the server of m keeps its answers" in said
    assert responses_upstream.deleted == ["resp_0"]


async def test_a_server_that_forgets_them(responses_upstream: ResponsesUpstream) -> None:
    responses_upstream.keeps = False
    [said] = await _said(responses_upstream)
    assert "does not keep its answers" in said
    assert "LONGTASK_OPENAI_API=chat" in said


async def test_a_server_that_refuses(responses_upstream: ResponsesUpstream) -> None:
    responses_upstream.then(refusal(400, None, "Unknown parameter: 'background'."))
    [said] = await _said(responses_upstream)
    assert "Unknown parameter: 'background'." in said
    assert "sk-planted" not in said


async def test_nothing_is_asked_of_others(responses_upstream: ResponsesUpstream) -> None:
    assert await _said(responses_upstream, "chat") == []
    assert responses_upstream.received == []
