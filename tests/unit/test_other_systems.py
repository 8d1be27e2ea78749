"""Without the image the action runs wherever Python does: its modules import nothing that only some systems have."""

import subprocess
import sys

# What Windows lacks, taken away before anything of the action is imported.
IMPORT_ALL = """
import importlib, os, pkgutil, select, signal, socket, sys
for module in ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty", "pty"):
    sys.modules[module] = None
for module, names in {
    select: ("poll", "epoll", "kqueue"),
    signal: ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGALRM", "alarm", "pthread_kill", "pthread_sigmask", "sigtimedwait"),
    os: ("fork", "getuid", "geteuid", "setsid", "getpgid", "sched_getaffinity", "mkfifo", "uname"),
    socket: ("AF_UNIX", "sendmsg"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
import matatika_deploy
for module in pkgutil.walk_packages(matatika_deploy.__path__, "matatika_deploy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_every_module_can_be_imported_without_what_windows_lacks() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert {"matatika_deploy.main", "matatika_deploy.post", "matatika_deploy.platform.http"} <= set(ran.stdout.split())
