"""Puts highlight.js and KaTeX beside the page: `make vendor`, or when a package is built.

npm fetches the versions in package-lock.json, checks their hashes and runs none of their scripts.
The files that the page loads are copied into src/entrypoints/web/vendor, with their licences.
Standard library only, since it runs before anything is installed.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
WEB = HERE.parent / "src" / "entrypoints" / "web"
LOCKED = ("package.json", "package-lock.json")
FILES = {
    "katex": {
        "katex": ("LICENSE", "dist/katex.min.js", "dist/katex.min.css"),
        "katex/fonts": ("dist/fonts/*.woff2",),
    },
    "@highlightjs/cdn-assets": {
        "highlight": ("LICENSE", "es/highlight.min.js"),
    },
}
"""By package: by the directory beside the page, which files of the package."""


class NotFetched(Exception):
    """The libraries could not be fetched. The message says why, for people."""


def fetch(web: Path = WEB) -> bool:
    """Fetch what is locked into `vendor` of the directory of the page, and return whether anything
    had to be done. What is there stays until the new files are whole. Raises NotFetched."""
    target = web / "vendor"
    versions = _versions()
    stamp = target / "versions.json"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == versions:
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched("npm, which fetches the page's libraries, is not installed")
    with tempfile.TemporaryDirectory() as directory:
        installed = Path(directory)
        _install(npm, installed)
        made = installed / "vendor"
        for package, directories in FILES.items():
            for name, patterns in directories.items():
                _copy(installed / "node_modules" / package, patterns, made / name)
        (made / stamp.name).write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
    return True


def _versions() -> dict[str, str]:
    """The version of each library, and a hash of all that decides which files there are."""
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    found = {each: str(lock["packages"][f"node_modules/{each}"]["version"]) for each in FILES}
    decisive = b"".join((HERE / each).read_bytes() for each in (*LOCKED, Path(__file__).name))
    return {**found, "made from": hashlib.sha256(decisive).hexdigest()}


def _install(npm: str, directory: Path) -> None:
    for each in LOCKED:
        shutil.copy(HERE / each, directory)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(  # noqa: S603 - fixed arguments
        command, cwd=directory, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        raise NotFetched(f"npm could not fetch the page's libraries:\n{done.stderr.strip()}")


def _copy(package: Path, patterns: tuple[str, ...], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        found = sorted(package.glob(pattern))
        if not found:
            raise NotFetched(f"the package {package.name} has no {pattern}")
        for each in found:
            shutil.copy(each, target)


if __name__ == "__main__":
    try:
        fetch()
    except NotFetched as error:
        sys.exit(str(error))
