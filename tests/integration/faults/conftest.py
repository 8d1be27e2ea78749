"""What the fault suite needs of pytest: assertions in its helpers that say what they found."""

import pytest

pytest.register_assert_rewrite("tests.support.secrecy")
