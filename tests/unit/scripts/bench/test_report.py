from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from scripts.bench import catalogue, report, tables
from scripts.bench.paths import PAGE
from scripts.bench.rounds import Outcomes
from scripts.bench.samples import Load, Start
from tests.unit.scripts.bench.test_samples import SAMPLE

if TYPE_CHECKING:
    from pathlib import Path


def test_a_table_is_aligned_markdown() -> None:
    lines = tables.grid(["server", "req/s"], [["one", "10"], ["another", "2,000"]]).splitlines()
    assert lines[1] == "|---------|------:|"
    assert lines[2] == "| one     |    10 |"
    assert len({len(line) for line in lines}) == 1


def test_a_run_becomes_a_result_file_and_charts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loads = [Load(1), Load(64)]
    samples = [
        replace(SAMPLE, peer=peer, load=load, per_second=rate * load.connections)
        for peer, rate in (("tandem", 100.0), ("fastapi", 10.0))
        for load in loads
    ]
    metrics = 'tandem_batch_rows_bucket{model="iris",le="1.0"} 3\ntandem_batch_rows_bucket{model="iris",le="+Inf"} 3\n'
    metrics = "# TYPE tandem_batch_rows histogram\n" + metrics
    outcomes = Outcomes(samples, [Start("tandem", 0, 4.0)], {"triton": "no such Python"}, {"tandem": ("", metrics)})
    report.serving(outcomes, loads, report.facts({"cores": 2}, rounds=1), tmp_path)

    said = capsys.readouterr().out
    assert "skipped: triton: no such Python" in said
    content = json.loads((tmp_path / "serving.json").read_text())
    assert content["machine"] == {"cores": 2}
    assert {row["target_times_peer"] for row in content["ratios"]} == {10.0}
    assert content["batch_rows"] == [[1.0, 3.0]]
    for chart in ("throughput-latency.svg", "batch-sizes.svg"):
        assert ET.parse(tmp_path / chart).getroot().tag.endswith("svg")


def test_the_table_of_v2_is_written_into_its_place_on_the_page(tmp_path: Path) -> None:
    loads = [Load(1), Load(64), Load(4, 1000)]
    samples = [
        replace(SAMPLE, peer=peer, load=load, per_second=rate)
        for peer, rate in (("triton-grpc", 1000.0), ("tandem-grpc", 3000.0))
        for load in loads
    ]
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- bench:v2 -->\nold\n<!-- end of bench:v2 -->\nAfter.\n")
    report.v2(Outcomes([*samples, replace(SAMPLE, peer="mlserver")]), loads, {}, tmp_path, page)
    before, *table, after = page.read_text().replace("<!-- end of bench:v2 -->\n", "").splitlines()[:]
    assert (before, table[0], after) == ("Before.", "<!-- bench:v2 -->", "After.")
    assert [line.split("|")[1].strip() for line in table[3:]] == ["Tandem, gRPC", report.title("triton-grpc")]
    assert table[3].split("|")[6:8] == ["                    500 ", "          3,000,000 "]
    assert json.loads((tmp_path / "v2.json").read_text())["summaries"][0]["cpu_us"] == 1500


def test_the_page_has_the_place_for_it() -> None:
    assert PAGE.read_text().count("<!-- bench:v2 -->\n") == PAGE.read_text().count("<!-- end of bench:v2 -->\n") == 1


def test_v2_is_compared_in_both_protocols_or_not_at_all() -> None:
    assert [peer.name for peer in catalogue.select_v2("none")] == ["tandem-v2", "tandem-grpc"]
    assert [peer.name for peer in catalogue.select_v2("raw,triton")][2:] == ["triton", "triton-grpc"]
    assert len(catalogue.select_v2("default")) == len(catalogue.V2)


def test_peers_are_chosen_by_word_or_name() -> None:
    assert [peer.name for peer in catalogue.select("none")] == ["tandem"]
    assert [peer.name for peer in catalogue.select("raw, triton")] == ["tandem", "raw", "triton"]
    assert {peer.name for peer in catalogue.select("all")} == set(catalogue.PEERS_BY_NAME)
    with pytest.raises(ValueError, match="unknown peer nginx"):
        catalogue.select("nginx")


def test_every_peer_has_pinned_requirements_and_a_port_of_its_own() -> None:
    peers = [peer for peer in catalogue.PEERS_BY_NAME.values() if not peer.name.startswith(catalogue.TARGET)]
    for peer in peers:
        assert report.title(peer.name) != peer.title, f"{peer.name}: no version among its pins"
    assert len({peer.port for peer in peers}) == len(peers)
