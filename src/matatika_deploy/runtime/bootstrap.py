"""From process start to exit: what has to be right before anything else is imported, and after everything is done.

Both steps of the action start here. The order matters: what the workflow did to the interpreter's path is undone, so
that no import meets a stranger's module; then the signals are caught (the program is PID 1 in its container, for which
the kernel drops signals without a handler); and only then come the slow imports.
"""

import os
import sys
import time

STARTED = time.monotonic()

POST = "post"
# How `github.state` tells the post step that it has nothing to do: it is not imported for that, nor is anything else.
STAGE_VARIABLE = "STATE_deployment"
STAGES_WITHOUT_POST = ("", "finished")

# What makes OpenSSL read a configuration, which may have it load any library, or look for its own modules elsewhere.
_OPENSSL_VARIABLES = ("OPENSSL_CONF", "OPENSSL_CONF_INCLUDE", "OPENSSL_ENGINES", "OPENSSL_MODULES")


def run(module: str) -> None:
    """Run `main(environ, signals, started) -> int` of the named `module`, and end the process with its exit code.

    The post step runs after every main step: where main has finished, it ends here.
    """
    if module.rpartition(".")[2] == POST and os.environ.get(STAGE_VARIABLE, "") in STAGES_WITHOUT_POST:
        os._exit(0)
    import gc

    # Imports make many objects, which all stay. Collecting garbage meanwhile would take a tenth of the start-up.
    gc.disable()
    _undo_path()
    from matatika_deploy.runtime.signals import Signals

    signals = Signals()
    signals.catch()
    _undo_environment()
    _leave_out_guessing()

    import importlib

    try:
        main = importlib.import_module(module).main
        gc.freeze()
        gc.enable()
        code: int = main(os.environ, signals, STARTED)
    except BaseException as error:
        code = _tell(error, is_post=module.endswith(f".{POST}"))
    # Daemon threads may still wait for a silent server, or for a reader of standard output: nothing waits for them.
    os._exit(code)


def _tell(error: BaseException, *, is_post: bool) -> int:
    """Say that not even an error can be told in the ordinary way; its text is left out, since it may hold a secret."""
    import traceback
    from contextlib import suppress

    place = traceback.extract_tb(error.__traceback__)[-1]
    level = "warning" if is_post else "error"
    text = (
        f"::{level} title=Internal error::Internal error: The action failed with {type(error).__name__} in "
        f"{place.name}, line {place.lineno} of {place.filename}. This is a defect of the action, or of its "
        "installation.\n"
    )
    with suppress(OSError):
        os.write(1, text.encode("utf-8", "replace"))
    return 0 if is_post else 3


def _undo_path() -> None:
    """Take the folders of `PYTHONPATH`, and the working directory, out of the places that modules are imported from.

    The image starts Python isolated (`-I`), so that there is nothing to undo; elsewhere the user's own modules would
    come before the standard library's. The package's own folder stays, wherever it is.
    """
    if sys.flags.isolated:
        return
    added = {os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep)}  # noqa: PTH100
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    strange = {"", *added, os.path.abspath("")} - {own}  # noqa: PTH100
    sys.path[:] = [folder for folder in sys.path if folder not in strange]


def _undo_environment() -> None:
    """Take back what else of the workflow's environment would reach too far into this process.

    `PYTHONWARNINGS=error` makes a library's deprecation fatal, `SSLKEYLOGFILE` has the keys of connections written to a
    file, and OpenSSL's own variables, which are read at the first import of `ssl`, make it load code. Without standard
    output, the first connection would take its number, and get what is printed.
    """
    if sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
    for name in ("SSLKEYLOGFILE", *_OPENSSL_VARIABLES):
        os.environ.pop(name, None)
    try:
        os.fstat(1)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _leave_out_guessing() -> None:
    """Keep `requests` from importing a library that guesses the encoding of texts, which nothing here asks for.

    It would take a tenth of the start-up, which is paid on every deployment. `requests` does without, and warns.
    """
    import warnings

    sys.modules["charset_normalizer"] = sys.modules["chardet"] = None  # type: ignore[assignment]
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")
