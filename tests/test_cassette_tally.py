from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from aquila.cassette import use
from aquila.cassette.tally import Tally, Used, unplayed
from aquila.cassette.watch import WATCHING, Watch
from aquila.cassette.wrapping import wrap
from aquila.errors import CassetteUnplayed
from aquila.settings import Settings, read_settings
from tests.tapes import EchoTransport, interaction, read, request
from tests.test_cassette_replay import save

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Stands in the place of the watches of the run and of the test, which would mind what is left unplayed."""
    own = WATCHING.run, WATCHING.test
    WATCHING.run, WATCHING.test = None, Watch()
    yield WATCHING.test
    WATCHING.run, WATCHING.test = own


def three(folder: Path) -> Path:
    """A cassette with A, A and B, a dollar and a half each."""
    items = [
        interaction(
            request(prompt), seq=place, cost_usd=Decimal("1.5"), recorded_at=NOW - timedelta(days=place)
        )
        for place, prompt in enumerate("AAB")
    ]
    return save(folder / "a.yaml", *items)


async def ask(settings: Settings, *prompts: str, mode: str = "none") -> None:
    transport = wrap(EchoTransport, "a", settings=settings, mode=mode)
    for prompt in prompts:
        await read(transport, request(prompt))
    await transport.aclose()


async def test_what_no_player_asked_for_is_unplayed(settings: Settings, tmp_path: Path, watch: Watch) -> None:
    path = three(tmp_path)

    await ask(settings, "A")

    assert unplayed(watch.opened) == {path: [2, 3]}
    await ask(settings, "B")
    assert unplayed(watch.opened) == {path: [2]}


async def test_equal_requests_of_two_players_have_played_two_equal_interactions(
    settings: Settings, tmp_path: Path, watch: Watch
) -> None:
    path = three(tmp_path)

    for _ in range(2):
        await ask(settings, "A")

    assert unplayed(watch.opened) == {path: [3]}, "a recording of the same calls has A twice"


async def test_what_is_being_recorded_is_not_unplayed(
    settings: Settings, tmp_path: Path, watch: Watch
) -> None:
    three(tmp_path)

    await ask(settings, "A", "C", mode="new_episodes")

    assert unplayed(watch.opened) == {}


async def test_a_tally_sums_up_and_survives_the_way_to_another_process(
    settings: Settings, tmp_path: Path, watch: Watch
) -> None:
    path = three(tmp_path)
    await ask(settings, "A", "B")
    await ask(settings, "A")

    tally = Tally.from_plain(json.loads(json.dumps(Tally.of(watch.opened).to_plain())))

    used = tally.used[str(path)]
    assert (used.interactions, used.played, used.plays, used.recordings) == (3, {0, 2}, 3, 0)
    assert used.oldest == NOW - timedelta(days=2)
    assert tally.line(NOW) == "1 cassette, 3 interactions played, $4.50 saved, oldest 2 d"
    tally.merge(Tally.of(watch.opened))
    assert tally.line(NOW) == "1 cassette, 6 interactions played, $9.00 saved, oldest 2 d"


@pytest.mark.parametrize(
    ("saved", "shown"),
    [("0.0421", "$0.042"), ("12.346", "$12.35"), ("0.000021", "$0.000021"), ("0.0000000123", "$1.2e-8")],
)
def test_little_money_is_not_told_as_nothing(saved: str, shown: str) -> None:
    tally = Tally({"a": Used(plays=1, saved_usd=Decimal(saved))})

    assert tally.line(NOW) == f"1 cassette, 1 interaction played, {shown} saved"


@pytest.mark.aquila_unplayed("ignore")
async def test_a_block_can_be_checked_without_pytest(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(tmp_path)

    with use("a", mode="none") as cassette:
        assert (cassette.path, cassette.unplayed()) == (None, ())
        transport = wrap(EchoTransport, None, settings=settings)
        await read(transport, request("A"))
        assert cassette.unplayed() == (2, 3)
        with pytest.raises(CassetteUnplayed, match=r"a\.yaml: interactions 2, 3 not played"):
            cassette.check_played()
        for prompt in "AB":
            await read(transport, request(prompt))
        cassette.check_played()
