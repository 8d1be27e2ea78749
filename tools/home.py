"""Put the repository's name in the place of the placeholder, once: `python -m tools.home the-owner/the-name`.

It changes every file that git tracks, removes what the documents say only until then, and adds the README's badges.
Then it removes itself, its test, and its line in CONTRIBUTING.md.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWNER = "OWNER"
PLACEHOLDER = f"{OWNER}/matatika-deploy-action"
OWN_FILES = ("tools/home.py", "tests/unit/test_home.py")
BADGES_HERE = "<!-- badges -->\n"
TEMPORARY = re.compile(r"^ *<!-- until the project has its home -->\n.*?^ *<!-- end -->\n\n?", re.MULTILINE | re.DOTALL)

_NAME = re.compile(r"(?P<owner>[A-Za-z0-9](?:-?[A-Za-z0-9])*)/(?P<name>[A-Za-z0-9_.-]+)", re.ASCII)


def badges(home: str) -> str:
    """Give the README's badges, as Markdown."""
    url = f"https://github.com/{home}"
    return (
        f"[![CI]({url}/actions/workflows/ci.yml/badge.svg)]({url}/actions/workflows/ci.yml)\n"
        f"[![Release](https://img.shields.io/github/v/release/{home})]({url}/releases)\n"
        f"[![Licence](https://img.shields.io/github/license/{home})](LICENSE)\n\n"
    )


def with_home(text: str, home: str) -> str:
    """Give a file's text with the repository's name, which is in lower case where it names an image."""
    text = TEMPORARY.sub("", text).replace(BADGES_HERE, badges(home))
    text = text.replace(f"ghcr.io/{PLACEHOLDER}", f"ghcr.io/{home.lower()}").replace(PLACEHOLDER, home)
    return re.sub(rf"^author: {OWNER}$", f"author: {home.partition('/')[0]}", text, flags=re.MULTILINE)


def move_in(root: Path, home: str) -> list[str]:
    """Change every tracked file of a work tree that names the placeholder; gives their names."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, stdout=subprocess.PIPE, check=True)
    changed = []
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = root / name
        if name in OWN_FILES:
            path.unlink()
            continue
        try:
            before = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if (after := with_home(before, home)) != before:
            path.write_text(after, encoding="utf-8")
            changed.append(name)
    return changed


def main(arguments: list[str]) -> int:
    """Change the files of this work tree, and print their names."""
    parser = argparse.ArgumentParser(prog="python -m tools.home", description=__doc__)
    parser.add_argument("repository", help="owner/name")
    home = parser.parse_args(arguments).repository
    if not _NAME.fullmatch(home):
        parser.error(f"{home!r} is no repository: give its owner and name, such as octo-org/deploy")
    sys.stdout.writelines(f"{name}\n" for name in move_in(ROOT, home))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
