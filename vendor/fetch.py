"""Puts beside the page what is made for it: `make vendor`, or when a package is built.

npm fetches the versions in package-lock.json, checks their hashes and runs none of their scripts.
The files of highlight.js and KaTeX that the page loads are copied into src/entrypoints/web/vendor,
with their licences. esbuild joins the page's own scripts into one file and its styles into another.
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
SOURCE = HERE.parent / "src"
WEB = SOURCE / "entrypoints" / "web"
sys.path.insert(0, str(SOURCE))
from entrypoints.http.page_bundle import SCRIPT, STYLE, first_line, is_bundled, stylesheets  # noqa: E402

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
BROWSERS = "chrome120,firefox120,safari17"
"""Older ones do not run the page's sources either."""


class NotFetched(Exception):
    """The libraries could not be fetched, or not be used. The message says why, for people."""


def fetch(web: Path = WEB) -> bool:
    """Fetch what is locked into `vendor` of the directory of the page, bundle the page, and return
    whether anything had to be done. What is there stays until the new files are whole. Raises
    NotFetched."""
    stamp = web / "vendor" / "versions.json"
    versions = _versions()
    has_libraries = stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == versions
    if has_libraries and is_bundled(web):
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched("npm, which fetches the page's libraries, is not installed")
    with tempfile.TemporaryDirectory() as directory:
        packages = _install(npm, Path(directory))
        if not has_libraries:
            _copy_libraries(packages, web / "vendor", versions)
        _bundle(packages, web)
    return True


def _versions() -> dict[str, str]:
    """The version of each library, and a hash of all that decides which files there are."""
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    found = {each: str(lock["packages"][f"node_modules/{each}"]["version"]) for each in FILES}
    decisive = b"".join((HERE / each).read_bytes() for each in (*LOCKED, Path(__file__).name))
    return {**found, "made from": hashlib.sha256(decisive).hexdigest()}


def _install(npm: str, directory: Path) -> Path:
    for each in LOCKED:
        shutil.copy(HERE / each, directory)
    _run(
        [
            npm,
            "ci",
            "--include=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ],
        directory,
    )
    return directory / "node_modules"


def _run(command: list[str], directory: Path, given: str = "") -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        command, cwd=directory, input=given, capture_output=True, text=True, encoding="utf-8",
        check=False, timeout=600,
    )  # fmt: skip
    if done.returncode != 0:
        raise NotFetched(f"npm could not fetch the page's libraries:\n{done.stderr.strip()}")
    return done.stdout


def _copy_libraries(packages: Path, target: Path, versions: dict[str, str]) -> None:
    made = packages.parent / "vendor"
    for package, directories in FILES.items():
        for name, patterns in directories.items():
            _copy(packages / package, patterns, made / name)
    (made / "versions.json").write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(made, target)


def _bundle(packages: Path, web: Path) -> None:
    begin = first_line(web)
    styles = stylesheets((web / "index.html").read_text(encoding="utf-8"))
    inputs = {
        SCRIPT: ('import "./page.js";', "js"),
        STYLE: ("".join(f'@import "./{each}";' for each in styles), "css"),
    }
    esbuild = ["node", str(packages / "esbuild" / "bin" / "esbuild"), "--bundle", "--minify"]
    for name, (source, kind) in inputs.items():
        options = [f"--loader={kind}", "--format=esm", "--charset=utf8", f"--target={BROWSERS}"]
        made = _run([*esbuild, *options, "--external:./vendor/*"], web, source)
        part = web / f"{name}.part"
        part.write_text(f"{begin}\n{made}", encoding="utf-8")
        part.replace(web / name)


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
