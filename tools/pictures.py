"""Make the README's pictures: the demo's log and summary, as a browser shows them.

`python -m tools.pictures` runs the demo and writes `docs/*.png`. It needs Chromium; `CHROMIUM` can name the program.
Nothing is drawn by hand: what the pictures show is what the action printed and wrote.
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

DOCS = Path(__file__).parents[1] / "docs"
# The workspace of the demo has two mistakes, which the picture of a failure shows.
SCENARIOS = {"success": ("--input", "preflight=off"), "failure": ()}
WIDTH = 1180

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1.5"),
)
_SECTION = re.compile(r"^── (?P<title>.*?) ─+$", re.MULTILINE)
_COMMAND = re.compile(r"::(?P<name>error|warning|notice)(?: [^:]*)?::(?P<message>.*)")
_GUARD = re.compile(r"::stop-commands::(?P<token>\w+)")
_STYLE = Path(__file__).with_suffix(".css")


def run_demo(scenario: str, options: Sequence[str]) -> tuple[str, str]:
    """Run the demo; gives the step's log and its summary."""
    command = [sys.executable, "-m", "matatika_simulator.demo", scenario, *options]
    shown = subprocess.run(command, capture_output=True, text=True).stdout
    _, *parts = _SECTION.split(shown)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return sections[f"Log of the step (scenario {scenario})"].strip("\n"), sections["Summary"].strip("\n")


def log_lines(log: str) -> str:
    """Give the log as HTML, as the runner shows it: commands carried out, what is masked as `***`."""
    shown = []
    masks = re.findall(r"^::add-mask::(.+)$", log, re.MULTILINE) + _GUARD.findall(log)
    for line in log.splitlines():
        if line.startswith("::add-mask::"):
            continue
        for masked in masks:
            line = line.replace(masked, "***")
        kind, text = "", line
        if command := _COMMAND.match(line):
            kind, text = command["name"], f"{command['name'].capitalize()}: {command['message']}"
        elif line.startswith("::"):
            kind = "quiet"
        shown.append(f'<div class="{kind}">{html.escape(text)}</div>')
    return "".join(shown)


def page(log: str, summary: str) -> str:
    """Give the HTML page of both."""
    markdown = MarkdownIt("commonmark").enable("table").render(summary)
    return (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE.read_text(encoding="utf-8")}</style>'
        f'<h2>The step&#39;s log</h2><div class="log">{log_lines(log)}</div>'
        f'<h2>The step&#39;s summary</h2><div class="summary">{markdown}</div>'
    )


def photograph(browser: str, source: Path, picture: Path) -> None:
    """Have the browser draw an HTML file, in the height that its content takes."""
    with tempfile.TemporaryDirectory() as profile:
        call = [browser, *_FLAGS, f"--user-data-dir={profile}"]
        height = _height(call, source)
        size = f"--window-size={WIDTH},{height}"
        subprocess.run([*call, size, f"--screenshot={picture}", source.as_uri()], check=True, capture_output=True)


def _height(call: list[str], source: Path) -> int:
    """Ask the browser how high the page is: the page itself writes it into its title."""
    measured = source.with_name("measured.html")
    script = "<script>document.title = document.documentElement.scrollHeight</script>"
    measured.write_text(source.read_text(encoding="utf-8") + script, encoding="utf-8")
    size = f"--window-size={WIDTH},100"
    shown = subprocess.run([*call, size, "--dump-dom", measured.as_uri()], check=True, capture_output=True, text=True)
    (height,) = re.findall(r"<title>(\d+)</title>", shown.stdout)
    return int(height)


def main() -> int:
    """Make every picture."""
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        sys.stderr.write("make pictures needs Chromium: install it, or name it in CHROMIUM\n")
        return 1
    DOCS.mkdir(exist_ok=True)
    for scenario, options in SCENARIOS.items():
        log, summary = run_demo(scenario, options)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "page.html")
            source.write_text(page(log, summary), encoding="utf-8")
            photograph(browser, source, DOCS / f"{scenario}.png")
        sys.stdout.write(f"docs/{scenario}.png\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
