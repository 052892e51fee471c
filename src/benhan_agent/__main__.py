"""``python -m benhan_agent``."""

import sys

from benhan_agent.server import main

sys.exit(main())
