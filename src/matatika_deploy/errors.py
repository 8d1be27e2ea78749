"""The ways in which a step fails: each knows its title, and what to tell the user."""

from collections.abc import Sequence

from matatika_deploy.text import sentence


class DeployError(Exception):
    """A step that could not do its work.

    `message` says what happened and why, `hint` what the user can do about it. Both may hold text from the platform,
    and neither a credential.
    """

    title = "Platform not reachable"

    def __init__(self, message: str, hint: str = "", title: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.title = title or self.title

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(DeployError):
    """Inputs that cannot be used; `problems` has a sentence for each, naming the input and what was expected."""

    title = "Bad input"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(sentence(problem) for problem in problems)
        listed = [f"({number}) {problem}" for number, problem in enumerate(self.problems, 1)]
        message = self.problems[0] if len(listed) == 1 else f"{len(listed)} mistakes. {' '.join(listed)}"
        super().__init__(message, "Correct the step's `with:` in the workflow.")


class PlatformError(DeployError):
    """The platform could not be reached, or its answers could not be used."""


class DeploymentUnknown(PlatformError):
    """A trigger may have reached the platform, and its job is unknown."""

    title = "Deployment unknown"


class NotTheApi(PlatformError):
    """The address that was given leads to a web site instead of the API."""

    title = "Not found"


class RequestRejected(PlatformError):
    """The answer is no, and would be no again.

    `status` is None if there was no answer at all. `is_repeated` says whether an earlier attempt was left without an
    answer: perhaps it was carried out, and is why this one was rejected.
    """

    title = "Request refused"

    def __init__(self, message: str, hint: str = "", title: str = "", *, status: int | None = None) -> None:
        super().__init__(message, hint, title)
        self.status = status
        self.is_repeated = False


class PipelineFailed(DeployError):
    """A pipeline that was to be run after the deployment did not succeed."""

    title = "Pipeline failed"


class CheckFailed(DeployError):
    """A check with the setting `error` found something."""

    title = "Checks failed"
