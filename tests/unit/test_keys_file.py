"""The file of API keys: what is read of it, and when a change of it counts."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrypoints.api_keys import new_key, parse_keys
from entrypoints.choices import valid_keys
from entrypoints.keys_file import LARGEST, add_entry, read_keys_file
from entrypoints.settings import SettingsError, load_settings
from entrypoints.valid_keys import Change, ValidKeys

ALICE, ALICES_ENTRY = new_key("alice")
BOB, BOBS_ENTRY = new_key("bob")
CAROL, CAROLS_ENTRY = new_key("carol")
SECRET = "a secret of forty characters, or even more"
PLAIN = f"dave:{new_key('dave')[0]}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_entries_comments_and_empty_lines(file: Path) -> None:
    text = f"\ufeff# of the team\r\n{ALICES_ENTRY} # a laptop\r\n\r\n \t\r\n  {BOBS_ENTRY}"
    file.write_bytes(text.encode())
    found = read_keys_file(file)
    assert (found.fault, found.blank) == (None, False)
    assert found.keys == parse_keys(f"{ALICES_ENTRY} {BOBS_ENTRY}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{ALICES_ENTRY}\n\nbob:{BOB[:10]}\n", "line 3 of "),
        (f"a b\n{ALICES_ENTRY}\nc\nd", "line 1 of .*hex digits>, nor are 2 further lines$"),
        (f"{ALICES_ENTRY},{BOBS_ENTRY}", "line 1 of .* is not name:sha256:<64 hex digits>$"),
        (f"# x\n{PLAIN}", "line 2 of .* holds a key itself"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"#" * (LARGEST + 1), "it is longer than 1 MiB"),
        (None, "No such file"),
        ("a folder", "Is a directory"),
        ("a pipe", "it is not a regular file"),
    ],
    ids=["cut", "bad", "commas", "plain", "bytes", "long", "none", "folder", "pipe"],
)
def test_a_file_that_cannot_be_used_stops_the_start(
    file: Path, content: str | bytes | None, said: str
) -> None:
    if content == "a folder":
        file.mkdir()
    elif content == "a pipe":
        os.mkfifo(file)
    elif content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=f"^  - LONGTASK_API_KEYS_FILE: .*{said}") as refused:
        load_settings(
            env_file=None, api_keys_file=str(file), stream_secret=SECRET, env="production"
        )
    assert str(file) in str(refused.value)
    assert str(refused.value).count("\n") == 0
    for secret in (ALICES_ENTRY[-64:], BOBS_ENTRY[-64:], BOB[:10], "lt_"):
        assert secret not in str(refused.value)


def test_what_depends_on_keys_depends_on_the_file_not_on_what_is_in_it(file: Path) -> None:
    file.touch()
    with pytest.raises(SettingsError, match="LONGTASK_STREAM_SECRET is required"):
        load_settings(env_file=None, api_keys_file=str(file))
    given = {"api_keys_file": str(file), "stream_secret": SECRET, "host": "0.0.0.0"}  # noqa: S104
    settings = load_settings(env_file=None, **given)
    assert settings.access.requires_keys
    assert valid_keys(settings).required
    assert settings.trusts_callers
    assert settings.refuses_development_keys
    with pytest.raises(SettingsError, match="LONGTASK_OLDER_MESSAGES_OWNER is not a name"):
        load_settings(env_file=None, older_messages_owner="alice", **given)
    file.write_text(ALICES_ENTRY)
    load_settings(env_file=None, older_messages_owner="alice", **given)


class Watched:
    """A file with Alice's key beside Carol's, which is in the settings."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_text(f"# keys\n{ALICES_ENTRY}\n")
        self.keys = ValidKeys(parse_keys(CAROLS_ENTRY), read_keys_file(file))
        assert self.looked() is None

    def looked(self) -> Change | None:
        """What comes of as many looks as a change takes."""
        changes = [
            self.keys.take(found) for _ in range(3) if (found := self.keys.look()) is not None
        ]
        assert len(changes) <= 1
        return changes[0] if changes else None

    def names(self) -> list[str]:
        names = [self.keys.name_of(key) for key in (ALICE, BOB, CAROL)]
        assert self.keys.required
        assert self.keys.names == {name for name in names if name}
        return [name for name in names if name]


@pytest.fixture
def watched(file: Path) -> Watched:
    return Watched(file)


def _in_place(file: Path, text: str) -> None:
    file.write_text(text)


def _by_rename(file: Path, text: str) -> None:
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


def _behind_links(file: Path, text: str) -> None:
    """As Kubernetes does: the file is a link through `..data`, and that link is replaced."""
    folder = file.with_name(f"..{len(list(file.parent.iterdir()))}")
    folder.mkdir()
    (folder / file.name).write_text(text)
    link = file.with_name("..data_tmp")
    link.symlink_to(folder.name)
    link.replace(file.with_name("..data"))
    if not file.is_symlink():
        file.unlink()
        file.symlink_to(f"..data/{file.name}")


@pytest.mark.parametrize("write", [_in_place, _by_rename, _behind_links])
def test_keys_come_and_go(watched: Watched, write: Callable[[Path, str], None]) -> None:
    write(watched.file, f"{ALICES_ENTRY}\n{BOBS_ENTRY}")
    assert watched.looked() == Change(count=3, added=("bob",))
    assert watched.names() == ["alice", "bob", "carol"]
    write(watched.file, f"{BOBS_ENTRY}\n{CAROLS_ENTRY}\n")
    assert watched.looked() == Change(count=3, withdrawn=("alice",), gone=("alice",))
    assert watched.names() == ["bob", "carol"]
    write(watched.file, "# none")
    assert watched.looked() == Change(count=1, withdrawn=("bob",), gone=("bob",))
    assert watched.names() == ["carol"]
    write(watched.file, "")
    assert watched.looked() is None, "nothing is lost"


def test_a_key_in_the_place_of_another_of_its_name(watched: Watched) -> None:
    key, entry = new_key("alice")
    watched.file.write_text(entry)
    assert watched.looked() == Change(count=2, added=("alice",), withdrawn=("alice",))
    assert (watched.keys.name_of(key), watched.keys.name_of(ALICE)) == ("alice", None)


def test_what_cannot_be_used_changes_nothing_and_is_told_once(watched: Watched) -> None:
    for spoil, said in (
        (lambda: watched.file.write_text(f"{BOBS_ENTRY}\nbob:sha256:"), "line 2"),
        (lambda: watched.file.write_text("\n"), "is empty: to withdraw all keys"),
        (watched.file.unlink, "No such file"),
        (lambda: watched.file.write_text(PLAIN), "holds a key itself"),
    ):
        spoil()
        change = watched.looked()
        assert change is not None
        assert change.fault is not None
        assert said in change.fault
        assert PLAIN not in change.fault
        assert BOBS_ENTRY not in change.fault
        if watched.file.exists():
            os.utime(watched.file, (1, 1))
        assert watched.looked() is None, "it is told once"
        assert watched.names() == ["alice", "carol"]
    watched.file.write_text(ALICES_ENTRY)
    assert watched.looked() == Change(count=2), "it is told that the file is good again"


def test_a_file_that_is_being_written_is_not_read(watched: Watched) -> None:
    for text in (
        "",
        "# keys\n",
        f"# keys\n{BOBS_ENTRY}\n",
        f"# keys\n{BOBS_ENTRY}\n{ALICES_ENTRY}",
    ):
        watched.file.write_text(text)
        assert watched.keys.look() is None
    assert watched.looked() == Change(count=3, added=("bob",))


def test_commands_at_the_same_time_lose_no_entry(file: Path) -> None:
    made = [new_key("alice")[1] for _ in range(20)]
    with ThreadPoolExecutor(len(made)) as several:
        list(several.map(add_entry, [file] * len(made), made))
    assert {key.entry for key in read_keys_file(file).keys} == set(made)
