from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from aquila.cassette.file.disk import read
from aquila.cli import cassette_import
from aquila.cli.cassette_import import HELP, import_
from aquila.errors import ConfigError
from tests.tapes import interaction, request

app = typer.Typer()
app.command("import", help=HELP)(import_)


def document(prompt: str = "Hello", **headers: str) -> dict[str, Any]:
    sent = request(prompt)
    return {
        "interactions": [{
            "request": {
                "body": sent.body.decode(), "method": "POST", "uri": sent.url,
                "headers": {"Content-Type": ["application/json"], **{name: [value] for name, value in headers.items()}},
            },
            "response": {
                "body": {"string": "data: a\n\ndata: [DONE]\n\n"}, "headers": {"content-type": ["text/event-stream"]},
                "status": {"code": 200, "message": "OK"},
            },
        }],
        "version": 1,
    }  # fmt: skip


def record(path: Path, *arguments: Any, **headers: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.dump(document(*arguments, **headers)))
    return path.read_text()


def run(*arguments: str | Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def test_a_file_goes_to_the_cassette_folder_and_its_source_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path / "cassettes"))
    source, target = tmp_path / "test_it" / "test_a.yaml", tmp_path / "cassettes" / "test_a.yaml"
    before = record(source, authorization="Bearer abcdefgh12345678", host="e.test")

    assert run(source) == (
        0, [f"{source}: 1 interaction of vcrpy -> {target}; redacted authorization; left out host"]
    )  # fmt: skip
    assert source.read_text() == before
    (found,) = read(target) or ()
    assert (found.source, found.key) == ("imported", interaction().key)


def test_a_folder_keeps_its_shape_and_other_data_is_passed_over(tmp_path: Path) -> None:
    record(tmp_path / "from" / "a" / "b.yml")
    record(tmp_path / "from" / "c.json")
    (tmp_path / "from" / "people.json").write_text('{"name": "Ada"}')

    code, lines = run(tmp_path / "from", "--to", tmp_path / "to")

    assert (code, len(lines)) == (0, 2)
    assert sorted(path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*.*")) == [
        "a/b.yaml", "c.yaml",
    ]  # fmt: skip


def test_in_place_rewrites_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    record(path)

    assert run(path, "--in-place")[0] == 0
    text = path.read_text()

    assert "source: imported" in text
    assert run(path, "--in-place") == (0, [f"{path}: 1 interaction of Aquila; nothing to change"])
    assert path.read_text() == text


def test_nothing_is_overwritten_unless_it_is_meant(tmp_path: Path) -> None:
    record(tmp_path / "a.json")
    before = record(tmp_path / "a.yaml", "Other")

    for arguments in (["--in-place"], ["--to", str(tmp_path)]):
        code, lines = run(tmp_path / "a.json", *arguments)

        assert code == 1
        assert lines == [
            f"not imported: {tmp_path / 'a.json'}: {tmp_path / 'a.yaml'} is there already; --force overwrites it"
        ]
        assert (tmp_path / "a.yaml").read_text() == before
    assert run(tmp_path / "a.json", "--in-place", "--force")[0] == 0
    assert (tmp_path / "a.yaml").read_text() != before


def test_two_sources_do_not_become_one_file(tmp_path: Path) -> None:
    record(tmp_path / "a.json")
    record(tmp_path / "a.yml")

    code, lines = run(tmp_path, "--to", tmp_path / "to", "--force")

    assert code == 1
    assert (
        f"{tmp_path / 'a.yml'}: {tmp_path / 'a.json'} becomes {tmp_path / 'to' / 'a.yaml'} too" in lines[-1]
    )


def test_a_file_with_a_secret_is_refused_and_the_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYROLL_API_KEY", "xk-77-correct-horse")
    record(tmp_path / "from" / "a.yaml", "my key is xk-77-correct-horse")
    record(tmp_path / "from" / "b.yaml")

    code, lines = run(tmp_path / "from", "--to", tmp_path / "to")

    assert code == 1
    assert any(
        "the value of PAYROLL_API_KEY is in the request body at $.messages[0].content of interaction 1"
        in line
        for line in lines
    )
    assert "correct-horse" not in "".join(lines)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["b.yaml"]


def test_a_broken_file_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\ninteractions: 7\n")

    code, lines = run(tmp_path / "a.yaml", "--in-place")

    assert code == 1
    assert lines[0].startswith(f"not imported: {tmp_path / 'a.yaml'}, line 2: interactions is not a list")


def test_one_file_that_cannot_be_imported_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c", "d"):
        record(tmp_path / "from" / f"{name}.yaml")
    (tmp_path / "from" / "a.yaml").write_text("version: 1\ninteractions: 7\n")
    (tmp_path / "from" / "b.yaml").write_bytes(b"interactions: \xff")
    _fail_for(monkeypatch, "c.yaml")

    code, lines = run(tmp_path / "from", "--to", tmp_path / "to")

    assert code == 1
    assert [line.startswith("not imported: ") for line in lines] == [True, True, True, False]
    assert lines[2] == (
        f"not imported: {tmp_path / 'from' / 'c.yaml'}: ValueError: no idea; take it out of what is imported"
    )
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["d.yaml"]


def _fail_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = cassette_import._import_one

    def fail(source: Path, target: Path, *, may_replace: bool) -> str:
        if source.name == name:
            raise ValueError("no idea")
        return real(source, target, may_replace=may_replace)

    monkeypatch.setattr(cassette_import, "_import_one", fail)


def test_what_is_no_file_is_passed_over_in_a_folder_and_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("nowhere")
    record(tmp_path / "c.yaml")

    assert [line.startswith("not ") for line in run(tmp_path, "--to", tmp_path / "to")[1]] == [False]
    code, lines = run(
        tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml", "--to", tmp_path / "again"
    )
    assert code == 1
    assert lines[0] == f"not imported: {tmp_path / 'a.yaml'} cannot be read: it is a pipe; name another file"
    assert "b.yaml cannot be read: it is a link to a file that does not exist; name" in lines[1]
    assert lines[2].startswith(f"{tmp_path / 'c.yaml'}: 1 interaction")


def test_names_of_files_cannot_move_the_cursor(tmp_path: Path) -> None:
    record(tmp_path / "a\x1b[2J\nb\u2066.yaml")
    (tmp_path / "c\x1b[2J.yaml").write_text("interactions: 7")

    code, lines = run(tmp_path, "--in-place")

    assert code == 1
    assert sorted(line.partition(":")[0] for line in lines) == [
        f"{tmp_path}/a␛[2J b<U+2066>.yaml",
        "not imported",
    ]
    assert "\x1b" not in "".join(lines)


def test_a_source_that_does_not_exist_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    record(tmp_path / "a.yaml")

    with pytest.raises(ConfigError, match="name a file or a folder"):
        run(tmp_path / "a.yaml", tmp_path / "none.yaml", "--to", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_two_places_to_write_to_are_a_wrong_command_line(tmp_path: Path) -> None:
    record(tmp_path / "a.yaml")

    assert run(tmp_path / "a.yaml", "--in-place", "--to", tmp_path)[0] == 2


def test_rules_of_the_project_redact_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.aquila.cassettes]\nredact = ["x-tenant"]\n')
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "a.yaml", **{"x-tenant": "acme"})

    code, lines = run("a.yaml", "--in-place")

    assert (code, lines) == (0, ["a.yaml: 1 interaction of vcrpy -> a.yaml; redacted x-tenant"])
