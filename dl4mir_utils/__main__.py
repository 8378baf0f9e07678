"""`python -m dl4mir_utils` is the same as `dl4mir`."""

from dl4mir_utils.apps.cli import app

app(prog_name="dl4mir")
