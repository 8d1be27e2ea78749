"""The action's main step: hands the process to `matatika_deploy.main`."""

from matatika_deploy.process import run

run("matatika_deploy.main")
