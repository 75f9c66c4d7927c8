"""``python -m nucseg_launcher``."""

import sys

from nucseg_launcher.main import main

sys.exit(main())
