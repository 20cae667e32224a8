"""Random programs are the same in every CI run, so that a red run can be repeated; elsewhere they are new ones."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
