"""The parts of a release that are text: what may be released, its notes, its action.yml, the tags that move to it.

`.github/workflows/release.yml` runs this with the runner's own Python: the standard library is all that it may use.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ACTION = ROOT / "action.yml"
CHANGELOG = ROOT / "CHANGELOG.md"
DOCKERFILE = ROOT / "Dockerfile"
FLEETS = ROOT / ".github" / "workflows" / "deploy-workspaces.yml"
VERSION = ROOT / "src" / "matatika_deploy" / "version.py"

_SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_IMAGE = re.compile(r"[a-z0-9.]+(?:/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}")
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?[ \t]*$", re.MULTILINE)
_STAGE = re.compile(r"^FROM (?:--\S+ +)*(?P<base>\S+)(?: +AS +(?P<name>\S+))?", re.MULTILINE | re.IGNORECASE)
_LINK = re.compile(r"^\[[^\]]+\]: \S+$", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class ReleaseError(Exception):
    """Something stands in the way of a release; the message says what, and what to do."""


def project_version(source: str) -> str:
    """Give the version that `version.py` holds."""
    (version,) = re.findall(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    return str(version)


def latest(changelog: str) -> tuple[str, str | None]:
    """Give version and date of the changelog's first section that is a version's, the date None if it has none."""
    for heading in _HEADING.finditer(changelog):
        if heading["version"] != "Unreleased":
            return heading["version"], heading["date"]
    raise ReleaseError("CHANGELOG.md has no version yet.")


def notes(changelog: str, version: str) -> str:
    """Give what the changelog says about a version: its section, without the heading."""
    headings = list(_HEADING.finditer(changelog))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] == version:
            section = changelog[heading.end() : following.start() if following else len(changelog)]
            return f"{_LINK.sub('', section).strip()}\n"
    raise ReleaseError(f"CHANGELOG.md has no section [{version}].")


def pinned(action: str, image: str) -> str:
    """Give `action.yml` with an image, named by its digest, instead of the Dockerfile."""
    if not _IMAGE.fullmatch(image):
        raise ReleaseError(f"{image!r} is no image with its digest, such as ghcr.io/owner/name@sha256:...")
    text, count = re.subn(r"^  image: Dockerfile$", f"  image: docker://{image}", action, flags=re.MULTILINE)
    if count != 1:
        raise ReleaseError("action.yml does not have `image: Dockerfile`, which a release replaces.")
    return text


def unpinned_bases(dockerfile: str) -> list[str]:
    """Give the images that a Dockerfile starts from by a name that can move: without a digest."""
    stages = list(_STAGE.finditer(dockerfile))
    own = {"scratch", *(stage["name"] for stage in stages)}
    bases = dict.fromkeys(stage["base"] for stage in stages if stage["base"] not in own)
    return [base for base in bases if not _DIGEST.search(base)]


def moving_tags(version: str, tags: list[str]) -> list[str]:
    """Give the tags that move to a release: `v1.2` and `v1`, each only if no later release already holds it."""
    released = [_numbers(tag.removeprefix("v")) for tag in tags if _SEMANTIC.fullmatch(tag.removeprefix("v"))]
    new = _numbers(version)
    return [
        f"v{'.'.join(map(str, new[:length]))}"
        for length in (2, 1)
        if all(other <= new for other in released if other[:length] == new[:length])
    ]


def problems(version: str, tags: list[str], repository: str) -> list[str]:
    """Give what stands in the way of releasing this work tree as `version`, a sentence for each."""
    if not _SEMANTIC.fullmatch(version):
        return [f"{version!r} is no version: give three numbers, such as 1.2.3."]
    found = []
    if f"v{version}" in tags:
        found.append(f"The tag v{version} exists: a release is never made twice. Raise the version.")
    if (own := project_version(VERSION.read_text(encoding="utf-8"))) != version:
        found.append(f"src/matatika_deploy/version.py says {own}.")
    changelog = CHANGELOG.read_text(encoding="utf-8")
    newest, date = latest(changelog)
    if newest != version:
        found.append(f"The first version in CHANGELOG.md is {newest}.")
    elif not date or not _DATE.fullmatch(date):
        found.append(f"CHANGELOG.md has no date for {version}: `## [{version}] - YYYY-MM-DD`.")
    if "## [Unreleased]" in changelog and notes(changelog, "Unreleased").strip():
        found.append(f"Move what CHANGELOG.md has under [Unreleased] to {version}, which is released with it.")
    found += [
        f"Dockerfile starts from {base}, which can move. Put the digest behind it, {base}@sha256:..., as given by "
        f"`docker buildx imagetools inspect {base}`; Dependabot keeps it up to date from then on."
        for base in unpinned_bases(DOCKERFILE.read_text(encoding="utf-8"))
    ]
    uses = f"uses: {repository}@v{_numbers(version)[0]}"
    if not re.search(rf"\b{re.escape(uses)}(?![\w.-])", FLEETS.read_text(encoding="utf-8")):
        found.append(f"{FLEETS.relative_to(ROOT)} does not have `{uses}`: see CONTRIBUTING.md, How to release.")
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def main(arguments: list[str]) -> int:
    """Run one command; what stands in its way becomes the runner's errors, and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say what stands in the way of a release; reads the tags from stdin")
    check.add_argument("version")
    check.add_argument("repository", help="owner/name")
    commands.add_parser("notes", help="print the changelog's section").add_argument("version")
    commands.add_parser("pin", help="write the image into action.yml").add_argument("image", help="name@sha256:...")
    commands.add_parser("tags", help="print the tags to move; reads all tags from stdin").add_argument("version")
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "check":
                if found := problems(given.version, sys.stdin.read().split(), given.repository):
                    raise ReleaseError(*found)
            case "notes":
                sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8"), given.version))
            case "pin":
                ACTION.write_text(pinned(ACTION.read_text(encoding="utf-8"), given.image), encoding="utf-8")
            case "tags":
                sys.stdout.write("".join(f"{tag}\n" for tag in moving_tags(given.version, sys.stdin.read().split())))
    except ReleaseError as error:
        sys.stdout.write("".join(f"::error::{message}\n" for message in error.args))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
