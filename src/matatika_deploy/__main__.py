"""The action's main step, as `python -m matatika_deploy`."""

from matatika_deploy.runtime.bootstrap import run

if __name__ == "__main__":
    run("matatika_deploy.main")
