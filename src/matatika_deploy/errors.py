"""The ways in which a step fails: each knows its exit code and what to tell the user."""

from collections.abc import Sequence

from matatika_deploy.text import sentence


class DeployError(Exception):
    """A step that could not do its work.

    `message` says what happened and why, `hint` what the user can do about it. Neither holds a secret; both may hold
    text from the platform, which whoever prints them must escape.
    """

    exit_code = 3
    title = "Matatika could not be used"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(DeployError):
    """Inputs that cannot be used; `problems` has a sentence for each, naming the input and what was expected."""

    exit_code = 2
    title = "Bad input"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(sentence(problem) for problem in problems)
        listed = [f"({number}) {problem}" for number, problem in enumerate(self.problems, 1)]
        message = self.problems[0] if len(listed) == 1 else f"{len(listed)} mistakes. {' '.join(listed)}"
        super().__init__(f"Bad input: {message}", "Correct the step's `with:` in the workflow.")


class PlatformError(DeployError):
    """The platform refused, could not be reached, or answered nonsense."""


class CheckFailed(DeployError):
    """A check with the setting `error` found something."""

    exit_code = 5
    title = "Checks failed"
