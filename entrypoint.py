"""The action's main step: hands the process to `matatika_deploy.main`."""

from matatika_deploy.runtime.bootstrap import run

run("matatika_deploy.main")
