"""How a test reports a figure."""

from collections.abc import Callable
from typing import TypeAlias

Tell: TypeAlias = Callable[[str], None]
"""Takes one line, printed at the end of the run after the test's name."""
