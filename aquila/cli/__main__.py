"""`python -m aquila.cli` is the command `aquila`, for whoever has no script on the path."""

from aquila.cli.main import main

main()
