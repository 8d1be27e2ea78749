"""The action's post step: hands the process to `matatika_deploy.leftover`."""

from matatika_deploy.process import run

if __name__ == "__main__":
    run("matatika_deploy.leftover")
