"""From process start to exit: what has to be right before anything else is imported, and after everything is done.

Both steps of the action start here. The order matters: what the workflow's environment did to the interpreter is
undone, then the signals are caught (the program is PID 1 in its container, for which the kernel drops signals without
a handler), and only then come the slow imports.
"""

import sys
import time

STARTED = time.monotonic()


def run(story: str) -> None:
    """Run `story`, a module with `main(environ, signals, started) -> int`, and end the process with its exit code."""
    _undo_environment()
    _leave_out_guessing()
    from matatika_deploy.signals import Signals

    signals = Signals()
    signals.catch()

    import importlib
    import os

    code: int = importlib.import_module(story).main(os.environ, signals, STARTED)
    # Daemon threads may still wait for a silent server, or for a reader of standard output: nothing waits for them.
    os._exit(code)


def _undo_environment() -> None:
    """Take back what `PYTHONPATH` and `PYTHONWARNINGS` of the workflow did to this interpreter.

    The image starts Python isolated (`-I`), so that there is nothing to undo; elsewhere a `PYTHONPATH` could put the
    user's own modules before the standard library, and `PYTHONWARNINGS=error` makes a library's deprecation fatal.
    """
    if sys.flags.ignore_environment:
        return
    import os

    added = {os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep)}  # noqa: PTH100
    installed = {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}  # noqa: PTH100, PTH120
    sys.path[:] = [folder for folder in sys.path if folder not in added - installed]
    if sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")


def _leave_out_guessing() -> None:
    """Keep `requests` from importing a library that guesses the encoding of texts, which nothing here asks for.

    It would take a tenth of the start-up, which is paid on every deployment. `requests` does without, and warns.
    """
    import warnings

    sys.modules["charset_normalizer"] = sys.modules["chardet"] = None  # type: ignore[assignment]
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")
