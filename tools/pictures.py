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
from pathlib import Path

from markdown_it import MarkdownIt

DOCS = Path(__file__).parents[1] / "docs"
SCENARIOS = ("success", "failure")
WIDTH = 1180

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1.5"),
)
_SECTION = re.compile(r"^── (?P<title>.*?) ─+$", re.MULTILINE)
_COMMAND = re.compile(r"::(?P<name>error|warning|notice)(?: [^:]*)?::(?P<message>.*)")
_GUARD = re.compile(r"::stop-commands::(?P<token>\w+)")
_STYLE = """
body { margin: 0; padding: 20px; width: %dpx; box-sizing: border-box; background: #fff; color: #1f2328;
       font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
h2 { margin: 18px 2px 6px; font-size: 13px; font-weight: 600; color: #59636e; }
h2:first-child { margin-top: 0; }
.log { margin: 0; padding: 12px 16px; border-radius: 6px; background: #1f2328; color: #f0f6fc;
       font: 12px/1.6 "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.error { background: #5d1f24; color: #ffb3ad; } .warning { background: #4b3a10; color: #f5d67b; }
.notice { background: #12365f; color: #a5cdfb; } .quiet { color: #7d8590; }
.summary { padding: 4px 20px 8px; border: 1px solid #d1d9e0; border-radius: 6px; }
.summary h3 { margin: 12px 0 8px; font-size: 18px; } .summary h4 { margin: 12px 0 6px; }
table { border-collapse: collapse; } td, th { padding: 4px 12px; border: 1px solid #d1d9e0; text-align: left; }
th:empty { padding: 0 12px; } td:first-child { white-space: nowrap; } code { padding: 2px 5px; border-radius: 6px; background: #eff1f3; font-size: 12px; }
pre { padding: 12px; border-radius: 6px; background: #f6f8fa; font-size: 12px; }
a { color: #0969da; text-decoration: none; }
""" % (WIDTH,)  # noqa: UP031


def run_demo(scenario: str) -> dict[str, str]:
    """Run the demo; gives what it shows, by the first word of each heading: Log, Outputs, Summary, ..."""
    command = [sys.executable, "-m", "matatika_simulator.demo", scenario]
    shown = subprocess.run(command, capture_output=True, text=True).stdout
    _, *parts = _SECTION.split(shown)
    return {
        title.split()[0]: text.strip("\n") for title, text in reversed(list(zip(parts[::2], parts[1::2], strict=True)))
    }


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
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>'
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
    for scenario in SCENARIOS:
        shown = run_demo(scenario)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "page.html")
            source.write_text(page(shown["Log"], shown["Summary"]), encoding="utf-8")
            photograph(browser, source, DOCS / f"{scenario}.png")
        sys.stdout.write(f"docs/{scenario}.png\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
