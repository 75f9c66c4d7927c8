from pathlib import Path

import pytest
from report_example import write_example

from nucseg_launcher.layout import OutFolder


@pytest.fixture
def example(tmp_path: Path) -> OutFolder:
    return write_example(tmp_path)
