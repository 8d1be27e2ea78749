"""The ids and credentials of the simulated platform. None of them means anything anywhere else.

A scenario can name others: `workspace.id`, `workspace.deployment-secret`, `tokens.client-secret`.
"""

from typing import Final

WORKSPACE_ID: Final = "00000000-51a1-4000-8000-000000000001"
TOKEN: Final = "simulated-personal-token-5b1f0c6f9a7e4d3c"  # noqa: S105 (opens nothing but the simulator)
CLIENT_ID: Final = "simulated-client-id"
CLIENT_SECRET: Final = "simulated-client-secret-8c2d4a6b0e9f7153"  # noqa: S105
DEPLOYMENT_SECRET: Final = "simulated-deployment-secret-3e7a9d1c5b8f2046"  # noqa: S105
SSH_PRIVATE_KEY: Final = "simulated-ssh-private-key-6d0b2f8e4c9a7135"
REPOSITORY_URL: Final = "https://github.com/simulated-org/simulated-workspace"
REPOSITORY_BRANCH: Final = "main"
COMMIT_ID: Final = "51a151a151a151a151a151a151a151a151a151a1"
