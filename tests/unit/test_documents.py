"""The documents tell what users were surprised by, each fact where they look for it, and each error by its title."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.readme import ROOT, headings, tokens

FACTS = {
    # README.md
    "a workspace id is a variable": ("README.md", r"The id is a variable, not a secret"),
    "where the id stands": ("README.md", r"UUID in your browser's address"),
    "how an API key is made": ("README.md", r"profile picture → \*API Keys\* → \*\+ NEW TOKEN\*"),
    "how one is made at Meltano Cloud": ("README.md", r"https://app\.meltano\.com/api-key"),
    "the platform's webhook deploys twice": (
        "README.md",
        r"webhook\*\* .*, remove it. Otherwise each push deploys twice",
    ),
    "the platform commits by itself": (
        "README.md",
        r"the platform commits to the repository by itself, and that push starts",
    ),
    "a renamed file deletes its resource": ("README.md", r"A file that was renamed or deleted deletes its pipeline"),
    "a person's token is short-lived": ("README.md", r"It lives two hours, and ends when its owner signs out"),
    "how long a ca-bundle may be": ("README.md", r"PEM text of up to 100 KB, or \(longer ones too\) the path"),
    "a step that always runs cannot be cancelled": ("README.md", r"A step with `if: always\(\)` cannot be cancelled"),
    "where proxies come from": ("README.md", r"The runner's own proxy settings arrive by themselves"),
    "which proxy variable is replaced": ("README.md", r"only in the same spelling"),
    "what is deployed": ("README.md", r"the head of the branch that the workspace tracks"),
    "Meltano Cloud has an address of its own": (
        "README.md",
        r"On Meltano Cloud, add `api-url: https://app\.meltano\.com/api`",
    ),
    "whose secrets they are": ("README.md", r"Secrets of the repository can be used from every branch"),
    "the demo": ("README.md", r"make demo"),
    "the tests": ("README.md", r"make test"),
    "the fleet's action is not pinned with it": ("README.md", r"even if you pin the workflow: \[how to pin both\]"),
    # docs
    "GHES cannot call the fleet": (
        "docs/platforms.md",
        r"GitHub Enterprise Server cannot call reusable workflows of github\.com",
    ),
    "what Kubernetes lacks": (
        "docs/platforms.md",
        r"log and the exit code are right\. Cancelling does not reach the action",
    ),
    "the platform only takes Linux": ("docs/troubleshooting.md", r"Container action is only supported on Linux"),
    "the action cannot be found": ("docs/troubleshooting.md", r"Unable to resolve action"),
    "the image cannot be pulled": ("docs/troubleshooting.md", r"Docker pull failed\*\*, \*denied\*"),
    "threads cannot be started": ("docs/troubleshooting.md", r"can't start new thread"),
    "what the plan is": ("docs/how-it-works.md", r"which pipelines the deployment creates, changes and deletes"),
    "what is drawn": ("docs/how-it-works.md", r"```mermaid"),
    "what curl cannot": ("docs/comparison.md", r"looks for the job that it queued"),
    # SECURITY.md
    "problem matchers see the log": ("SECURITY.md", r"Problem matchers of other steps\*\* read the job's log too"),
    "the fleet's action is not pinned": (
        "SECURITY.md",
        r"uses `@v1` of the action, even if you pin the workflow itself",
    ),
    "how both are pinned": ("SECURITY.md", r"copy the workflow into your repository and pin the action there"),
    "pull_request_target has secrets": ("SECURITY.md", r"`pull_request_target`\.\*\* Such a workflow has your secrets"),
    "which characters are dropped": (
        "SECURITY.md",
        r"U\+061C, U\+200B to U\+200F, U\+202A to U\+202E, U\+2060 to U\+206F and U\+FEFF",
    ),
    "what the preflight may cost": ("SECURITY.md", r"at most 10 seconds of CPU"),
    "whose signature counts": (
        "SECURITY.md",
        r"--signer-workflow OWNER/matatika-deploy-action/\.github/workflows/release\.yml",
    ),
    "the webhook, for security": ("SECURITY.md", r"each push deploys twice"),
    "the platform's commits, for security": ("SECURITY.md", r"commits to the repository by itself"),
    # CONTRIBUTING.md
    "what the rule for tags restricts": ("CONTRIBUTING.md", r"restricts updates and deletions\. Not creations"),
    "how the base image is pinned": ("CONTRIBUTING.md", r"put `@sha256:…` behind the tag, in every `FROM` line"),
    "releases wait for approval": ("CONTRIBUTING.md", r"make `release`, with required reviewers"),
}
# Of steps that succeed: they have no section.
OF_SUCCESS = {"Deployed", "Deployment submitted", "Checked"}
TITLE = re.compile(r"[A-Z][\w-]+( [\w-]+)*")
OF_OTHERS = ["Argument list too long", "Settings", "Webhooks"]


@pytest.mark.parametrize("fact", FACTS)
def test_fact_is_told(fact: str) -> None:
    name, pattern = FACTS[fact]
    text = re.sub(r"\s+(?:> )?", " ", (ROOT / name).read_text(encoding="utf-8"))
    assert re.search(pattern, text)


def test_every_title_of_an_error_has_its_section() -> None:
    titles = set(_titles())
    assert titles >= OF_SUCCESS | {"Bad input", "Sign-in failed", "Deployment failed", "Workspace not checked"}
    assert titles - OF_SUCCESS <= set(headings(tokens("docs/troubleshooting.md")))


def _titles() -> Iterator[str]:
    """Every text that the program gives to something called `title`, or to a `StepResult` as its title."""
    for path in (ROOT / "src/matatika_deploy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values: list[ast.expr] = []
            match node:
                case ast.Assign(targets=[ast.Name("title") | ast.Attribute(attr="title")], value=value):
                    values = [value]
                case ast.AnnAssign(target=ast.Name("_TITLES"), value=ast.Dict(values=titles)):
                    values = titles
                case ast.keyword(arg="title", value=value):
                    values = [value]
                case ast.Call(func=ast.Name("StepResult"), args=[_, _, title, *_]):
                    values = [title]
            texts = (part.value for value in values for part in ast.walk(value) if isinstance(part, ast.Constant))
            yield from (text for text in texts if isinstance(text, str) and TITLE.fullmatch(text))


def test_words_that_are_searched_for_are_the_errors_own() -> None:
    """What stands in italics in an error's section is in the program's texts, with something variable for `…`."""
    sources = (path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/matatika_deploy").rglob("*.py")))
    # Literals that stand side by side are one text; what is variable in it is `…`.
    program = re.sub(r'\{[^{}"\n]*\}', "…", re.sub(r'"\s+f?"', "", "".join(sources)))
    document = re.sub(r"\s+", " ", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"))
    sections = document.partition("## Bad input")[2].partition("## Surprises")[0]
    quoted = re.findall(r"\*([^*]+)\*", re.sub(r"\*\*.*?\*\*", "", sections))
    quoted = [phrase for phrase in quoted if phrase not in OF_OTHERS]
    assert len(quoted) > 20
    assert [phrase for phrase in quoted if phrase not in program] == []
