"""What `longtask ask` makes of its words, files and standard input."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrypoints.ask import command, following
from entrypoints.cli import main
from entrypoints.client.server import Server

PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies that would be sent."""
    sent: list[dict[str, Any]] = []

    def ask(_: Server, asked: following.Asked) -> int:
        sent.append(asked.body)
        return 0

    monkeypatch.setattr(command, "ask_server", ask)
    return sent


def ask(*words: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["ask", *words, "--server", "x"], input=stdin)


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (["Hi."], None, "Hi."),
        (["-"], "Piped.\n", "Piped.\n"),
        ([], "Piped.", "Piped."),
        (["Sum it up:"], "A long text.", "Sum it up:\n\nA long text."),
        (["Hi."], " \n", "Hi."),
        ([], "\ufeffWindows", "Windows"),
    ],
)
def test_the_prompt(
    bodies: list[dict[str, Any]], words: list[str], stdin: str | None, prompt: str
) -> None:
    assert ask(*words, stdin=stdin).exit_code == 0
    assert bodies == [{"prompt": prompt}]


@pytest.mark.parametrize(
    ("stdin", "said"), [(None, "Give a PROMPT"), (b"\xff\xfe\x00", "not UTF-8 text. Use --file")]
)
def test_no_prompt_is_an_error(
    bodies: list[dict[str, Any]], stdin: bytes | None, said: str
) -> None:
    done = ask(stdin=stdin)
    assert done.exit_code == 2
    assert said in done.stderr
    assert bodies == []


def test_what_is_given_is_sent_and_nothing_else(
    bodies: list[dict[str, Any]], tmp_path: Path
) -> None:
    schema = tmp_path / "my city.schema.json"
    schema.write_text('{"type": "object"}')
    words = ["--system", "Be short.", "--model", "m", "--max-tokens", "9", "--temperature", "0.5"]
    words += ["--previous", "task_1", "--schema", str(schema)]
    for each in ("seed=7", "reasoning_effort=low", 'stop=["a", "b"]', 'user="7"', "x=a=b", "y="):
        words += ["--option", each]
    assert ask("Hi.", *words).exit_code == 0
    json_schema = {"name": "my_city", "schema": {"type": "object"}}
    assert bodies == [
        {
            "prompt": "Hi.",
            "model": "m",
            "system": "Be short.",
            "maxTokens": 9,
            "temperature": 0.5,
            "previousTaskId": "task_1",
            "options": {
                "seed": 7,
                "reasoning_effort": "low",
                "stop": ["a", "b"],
                "user": "7",
                "x": "a=b",
                "y": "",
                "response_format": {"type": "json_schema", "json_schema": json_schema},
            },
        }
    ]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


FILES: dict[str, tuple[bytes, dict[str, Any]]] = {
    'a "b".md': (
        b"\xef\xbb\xbf# Title",
        {"type": "text", "text": '<file name="a &quot;b&quot;.md">\n# Title\n</file>'},
    ),
    "paper.bin": (
        b"%PDF-1.7 text",
        {
            "type": "file",
            "file": {
                "filename": "paper.bin",
                "file_data": f"data:application/pdf;base64,{encoded(b'%PDF-1.7 text')}",
            },
        },
    ),
    "voice.MP3": (
        b"ID3\x00",
        {"type": "input_audio", "input_audio": {"data": encoded(b"ID3\x00"), "format": "mp3"}},
    ),
    "unknown": (
        b"\x00\xff",
        {
            "type": "file",
            "file": {
                "filename": "unknown",
                "file_data": f"data:application/octet-stream;base64,{encoded(bytes([0, 255]))}",
            },
        },
    ),
    "photo": (
        PNG,
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_becomes_the_part_that_models_take(
    bodies: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    content, part = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert ask("What is it?", "--file", str(tmp_path / name)).exit_code == 0
    text = {"type": "text", "text": "What is it?"}
    assert bodies == [{"messages": [{"role": "user", "content": [part, text]}]}]


def test_images_have_the_media_type_of_their_content(
    bodies: list[dict[str, Any]], tmp_path: Path
) -> None:
    images = {
        "a.jpg": PNG,
        "b.png": b"\xff\xd8\xff\xe0",
        "c": b"GIF89a",
        "d": b"RIFF\0\0\0\0WEBP",
        "e.svg": b"<svg/>",
    }
    words = []
    for name, content in images.items():
        (tmp_path / name).write_bytes(content)
        words += ["--image", str(tmp_path / name)]
    remote = "https://example.org/f.png"
    assert ask(*words, "--image", remote).exit_code == 0  # and no prompt
    (message,) = bodies[0]["messages"]
    urls = [each["image_url"]["url"] for each in message["content"]]
    kinds = [each.partition(";")[0] for each in urls[:-1]]
    types = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
    assert kinds == [f"data:{each}" for each in types]
    assert urls[-1] == remote


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image", "missing.png"], "--image: missing.png: No such file or directory"),
        (["--file", "."], "--file: .: Is a directory"),
        (["--file", "\0"], "embedded null byte"),
        (["--file", "empty"], "empty is empty"),
        (["--image", "text"], "text is no image, such as PNG"),
        (["--file", "large"], "large is larger than a whole request may be (0.00095"),
        (["--file", "/dev/zero"], "/dev/zero is larger than a whole request may be"),
        (["--file", "half", "--file", "half"], "it may have 0.00095"),
        (["--option", "seed"], "--option: seed has not the form KEY=VALUE"),
        (["--option", "=1"], "has not the form"),
        (["--option", 'stop=["a"'], "--option: stop is not valid JSON"),
        (["--schema", "missing"], "--schema: missing: No such file"),
        (["--schema", "text"], "--schema: text is not valid JSON"),
        (["--schema", "list"], "--schema: list must hold an object"),
        (
            ["--schema", "object", "--option", "response_format={}"],
            "response_format is given twice",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    bodies: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    files = {"empty": "", "text": "no", "large": "x" * 1_001, "half": "x" * 600}
    for name, text in (files | {"list": "[]", "object": "{}"}).items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    done = ask("Hi.", *words, "--max-request-bytes", "1000")
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert bodies == []


def test_the_bound_counts_what_is_sent(bodies: list[dict[str, Any]]) -> None:
    body = json.dumps({"prompt": "é" * 50}, ensure_ascii=False).encode()
    assert ask("é" * 50, "--max-request-bytes", str(len(body))).exit_code == 0
    assert ask("é" * 50, "--max-request-bytes", str(len(body) - 1)).exit_code == 2
