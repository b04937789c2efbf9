"""`aquila cassette`: look at recorded traffic, check it and tidy it up."""

from __future__ import annotations

import typer

from aquila.cli import (
    cassette_diff,
    cassette_import,
    cassette_ls,
    cassette_play,
    cassette_prune,
    cassette_show,
    cassette_verify,
)

app = typer.Typer(
    help="Look at recorded LLM traffic, check it and tidy it up.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def cassette() -> None:
    """Look at recorded LLM traffic, check it and tidy it up."""


app.command("ls", help=cassette_ls.HELP, short_help="List cassettes with their facts.")(cassette_ls.ls)
app.command("show", help=cassette_show.HELP, short_help="Show the conversation in one.")(cassette_show.show)
app.command("play", help=cassette_play.HELP, short_help="Play answers as they came.")(cassette_play.play)
app.command("diff", help=cassette_diff.HELP, short_help="Compare two in meaning.")(cassette_diff.diff)
app.command("verify", help=cassette_verify.HELP, short_help="Check files, also before a commit.")(
    cassette_verify.verify
)
app.command("prune", help=cassette_prune.HELP, short_help="Take out what the last test run did not play.")(
    cassette_prune.prune
)
app.command("import", help=cassette_import.HELP, short_help="Turn files of other recorders into cassettes.")(
    cassette_import.import_
)
