"""``python -m benhan_verify``."""

import sys

from benhan_verify.cli import main

sys.exit(main())
