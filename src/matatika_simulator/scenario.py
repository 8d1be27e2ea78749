"""What the platform is to do, as a value, and how it is read from a YAML file. The schema stands in README.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from matatika_simulator.faults import Fault
from matatika_simulator.policies import AnswerStyle, Logs, OtherJob, RateLimit, Withdrawal, Workspace
from matatika_simulator.reading import (
    read_answers,
    read_fault,
    read_logs,
    read_other_job,
    read_plan,
    read_rate_limit,
    read_tokens,
    read_withdrawal,
    read_workspace,
)
from matatika_simulator.section import ScenarioError, Section
from matatika_simulator.tokens import TokenPolicy

_FOLDER = Path(__file__).parent / "scenarios"


@dataclass(frozen=True)
class Scenario:
    """All of it."""

    workspaces: tuple[Workspace, ...] = (Workspace(),)
    other_jobs: tuple[OtherJob, ...] = ()
    while_another_runs: Literal["refuse", "queue"] = "refuse"
    """What becomes of a trigger while a deployment of the same workspace is queued or running."""
    logs: Logs = field(default_factory=Logs)
    withdrawal: Withdrawal = field(default_factory=Withdrawal)
    tokens: TokenPolicy = field(default_factory=TokenPolicy)
    answers: AnswerStyle = field(default_factory=AnswerStyle)
    clock_skew: float = 0.0
    """Seconds by which the platform's clock is ahead."""
    rate_limit: RateLimit | None = None
    faults: tuple[Fault, ...] = ()


def names() -> list[str]:
    """The scenarios that come with the simulator."""
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def load(source: "str | Path | Mapping[str, Any] | Scenario") -> Scenario:
    """The scenario of that name, in that file, or with that content.

    Raises `ScenarioError` if there is none, or if it cannot be played.
    """
    if isinstance(source, Scenario):
        return source
    content, folder = _read(source, Path.cwd())
    where = f"scenario {source}: " if isinstance(source, str | Path) else "scenario: "
    try:
        return _scenario(Section(content, ""), folder)
    except ScenarioError as error:
        raise ScenarioError(where + str(error)) from None


def _read(
    source: "str | Path | Mapping[str, Any]", folder: Path, above: tuple[Path, ...] = ()
) -> tuple[Mapping[str, Any], Path]:
    """The content with what it is based on merged in, and the folder that its file names are relative to."""
    if isinstance(source, Mapping):
        content: Any = source
    else:
        path = _find(source, folder)
        if path in above:
            raise ScenarioError(f"scenario {source}: is based on itself")
        content, folder, above = _load_yaml(path), path.parent, (*above, path)
    if not isinstance(content, Mapping) or "based-on" not in content:
        return content, folder
    content = dict(content)
    base, _ = _read(str(content.pop("based-on")), folder, above)
    return _merge(base, content), folder


def _find(source: str | Path, folder: Path) -> Path:
    if isinstance(source, str) and source in names():
        return _FOLDER / f"{source}.yml"
    path = folder / source
    if not path.is_file():
        raise ScenarioError(f"scenario {source}: no such file, and no such name; names are {', '.join(names())}")
    return path


def _load_yaml(path: Path) -> Any:
    import yaml  # only now: most tests hand in a mapping, and the import costs as much as the rest of the start

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.load(path.read_text("utf-8"), loader)  # noqa: S506 (both loaders are safe)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"scenario {path}: not YAML: {error}") from None


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: _merge(base[key], value) if key in base else value for key, value in over.items()}}
    return over


def _scenario(root: Section, folder: Path) -> Scenario:
    root.get("description", None)
    plan = read_plan(root.section("job"), folder)
    main = read_workspace(root.section("workspace"), plan)
    others = tuple(
        read_workspace(section, read_plan(section.section("job"), folder) if "job" in section else plan, needs_id=True)
        for section in root.sections("other-workspaces")
    )
    deployments = root.section("deployments")
    scenario = Scenario(
        workspaces=(main, *others),
        other_jobs=tuple(read_other_job(section, main.id, folder) for section in root.sections("other-jobs")),
        while_another_runs=deployments.choice("while-another-runs", ["refuse", "queue"], "refuse"),
        logs=read_logs(root.section("logs")),
        withdrawal=read_withdrawal(root.section("withdrawal")),
        tokens=read_tokens(root.section("tokens")),
        answers=read_answers(root.section("answers")),
        clock_skew=root.duration("clock-skew", 0.0, signed=True),
        rate_limit=read_rate_limit(root.section("rate-limit")) if "rate-limit" in root else None,
        faults=tuple(read_fault(section) for section in root.sections("faults")),
    )
    deployments.done()
    root.done()
    return scenario
