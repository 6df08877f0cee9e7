from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import psutil

from services.classifier.serving_state import Report, ServingState, Wanted, WantedModel

if TYPE_CHECKING:
    from pathlib import Path

V1 = WantedModel("v1", ("v1",))


def test_nothing_is_wanted_before_somebody_has_said(tmp_path: Path) -> None:
    state = ServingState(tmp_path / "run")
    assert state.read() is None
    assert not state.changed()
    assert state.reports() == {}


def test_what_one_worker_writes_the_other_sees_once(tmp_path: Path) -> None:
    mine, theirs = ServingState(tmp_path), ServingState(tmp_path)
    theirs.read()
    wanted = Wanted(1, {"toy": V1})
    mine.write(wanted)
    assert theirs.changed()
    assert theirs.read() == wanted
    assert not theirs.changed()


def test_each_change_is_a_new_generation_and_drops_what_was_staged() -> None:
    wanted = Wanted(1, {"toy": V1, "other": V1})
    staged = wanted.staging("toy", "v2")
    assert (staged.generation, staged.models) == (2, wanted.models)
    assert staged.all() == {("toy", "v1"), ("toy", "v2"), ("other", "v1")}
    served = staged.serving("toy", WantedModel("v2", ("v2",)))
    assert (served.generation, served.all()) == (3, {("toy", "v2"), ("other", "v1")})
    assert served.serving("toy", None).all() == {("other", "v1")}


def test_reports_of_dead_workers_do_not_count(tmp_path: Path) -> None:
    state = ServingState(tmp_path)
    state.report(Report(3, {"toy:v2": "broken"}))
    dead = max(psutil.pids()) + 100_000
    (tmp_path / f"worker-{dead}").write_bytes(b'{"generation": 1}')
    assert state.reports() == {os.getpid(): Report(3, {"toy:v2": "broken"})}
    assert not (tmp_path / f"worker-{dead}").exists()
    state.leave()
    assert state.reports() == {}


def test_one_holds_the_lock_at_a_time(tmp_path: Path) -> None:
    one, other = ServingState(tmp_path / "run"), ServingState(tmp_path / "run")
    with one.lock() as mine:
        assert mine
        with other.lock() as theirs:
            assert not theirs
    with other.lock() as theirs:
        assert theirs


def test_a_run_has_a_folder_of_its_own_and_clears_away_those_that_are_over(tmp_path: Path) -> None:
    over = tmp_path / f"{socket.gethostname()}-1-5"
    over.mkdir()
    state = ServingState.of_this_run(tmp_path)
    state.write(Wanted(1, {}))
    again = ServingState.of_this_run(tmp_path)
    assert again.read() == Wanted(1, {})
    assert [folder.name for folder in tmp_path.iterdir()] == [state.run]
    assert state.run.startswith(f"{socket.gethostname()}-{os.getppid()}-")
