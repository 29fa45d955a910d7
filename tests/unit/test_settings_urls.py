"""URLs in the settings: which are accepted, and what is shown of them."""

import pytest

from entrypoints.outside_text import without_password
from entrypoints.settings import SettingsError, load_settings
from entrypoints.settings.reference import describe


def test_the_older_systems_name_of_the_base_url_is_read_where_ours_is_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEXT_PUBLIC_BASE_URL", "https://older.example.org/")
    assert load_settings(env_file=None).service.base_url == "https://older.example.org"
    monkeypatch.setenv("BASE_URL", "https://example.org")
    assert load_settings(env_file=None).service.base_url == "https://example.org"


@pytest.mark.parametrize(
    "url", ["https://h/a b", "https://h/a\nb", "https://h/?", "https://h/#", "https://h/\x00"]
)
def test_a_url_with_what_no_address_can_hold_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="BASE_URL: must be"):
        load_settings(env_file=None, base_url=url)


def test_white_space_around_a_url_is_stripped() -> None:
    settings = load_settings(env_file=None, base_url=" https://example.org/a/\n")
    assert settings.service.base_url == "https://example.org/a"


def test_no_password_in_a_url_is_shown() -> None:
    settings = load_settings(
        env_file=None,
        base_url="https://me:planted@example.org",
        openai_base_url="http://me:plan@ted@localhost/v1",
        qstash_url="https://planted@qstash.example",
        qstash_token="planted",
    )
    shown = [value for _, value, _ in describe(settings)] + list(settings.chosen_parts().values())
    assert not [each for each in shown if "plan" in each]
    assert shown.count("http://***@localhost/v1") == 2
    assert without_password("https://example.org/a@b") == "https://example.org/a@b"
