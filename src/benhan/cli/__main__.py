"""`python -m benhan.cli` is the command `benhan`."""

from benhan.cli import main

main()
