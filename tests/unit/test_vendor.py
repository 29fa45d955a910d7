"""The libraries of the page: pinned by hash, fetched whole or not at all."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from entrypoints.http.page import WEB
from entrypoints.http.page_bundle import is_bundled

ROOT = Path(__file__).parents[2] / "vendor"


@pytest.fixture(scope="module")
def fetching() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch", ROOT / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_library_is_pinned_by_version_and_hash_and_by_no_host(fetching: ModuleType) -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert set(wanted["dependencies"]) == set(fetching.FILES)
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
    for name, locked in packages.items():
        assert "resolved" not in locked
        assert not name or locked["integrity"].startswith("sha512-")


def test_without_npm_nothing_is_changed(
    fetching: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "vendor" / "versions.json"
    there.parent.mkdir()
    there.write_text("{}", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fetching.NotFetched, match="npm, which fetches"):
        fetching.fetch(tmp_path)
    assert there.read_text(encoding="utf-8") == "{}"


def copy_page(target: Path) -> None:
    for file in WEB.iterdir():
        if file.is_file() and ".min." not in file.name:
            shutil.copy(file, target)


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm")
def test_what_is_fetched_is_whole_with_its_licences_and_fetched_once(
    fetching: ModuleType, tmp_path: Path
) -> None:
    copy_page(tmp_path)
    assert fetching.fetch(tmp_path)
    vendor = tmp_path / "vendor"
    assert {each.parent.name for each in vendor.rglob("LICENSE")} == {"katex", "highlight"}
    assert (vendor / "katex" / "katex.min.js").stat().st_size > 100_000
    assert (vendor / "highlight" / "highlight.min.js").stat().st_size > 100_000
    assert len(list((vendor / "katex" / "fonts").glob("*.woff2"))) == 20
    assert is_bundled(tmp_path)
    assert not fetching.fetch(tmp_path)
    (tmp_path / "said.js").write_text("// changed", encoding="utf-8")
    assert not is_bundled(tmp_path)
