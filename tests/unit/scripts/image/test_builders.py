from __future__ import annotations

from pathlib import Path

import pytest

from scripts.image.builders import Builder, ImageError, Order, find_builder


def program(folder: Path, name: str, text: str = "exit 0") -> None:
    """A program called `name`, in place of the real one."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    return tmp_path / "programs"


def test_without_any_builder_one_message_says_what_is_wrong_and_what_to_do(programs: Path) -> None:
    program(programs, "docker", "echo 'Cannot connect to the Docker daemon.' >&2; exit 1")
    with pytest.raises(ImageError) as problem:
        find_builder()
    assert str(problem.value).startswith("Nothing here can build an image: docker does not work (Cannot connect")
    assert "podman is not installed; buildah is not installed" in str(problem.value)
    assert "apt-get install podman" in str(problem.value)


def test_the_first_that_works_is_taken_or_the_one_that_is_wanted(programs: Path) -> None:
    program(programs, "docker", "exit 1")
    program(programs, "podman")
    program(programs, "buildah")
    assert find_builder().name == "podman"
    assert find_builder("buildah").name == "buildah"
    with pytest.raises(ImageError, match="docker does not work"):
        find_builder("docker")


ORDER = Order(
    context=Path("/context"),
    dockerfile=Path("/context/Dockerfile"),
    tags=["tandem:latest", "tandem:1"],
    labels={"version": "1"},
    arguments={"BASE_IMAGE": "own"},
    secrets={"netrc": Path("/home/.netrc")},
    folders={Path("/wheels"): "/wheels:ro"},
)


def test_an_order_is_said_in_the_builders_words() -> None:
    command = " ".join(Builder("podman").command(ORDER))
    assert command.startswith("podman build --file /context/Dockerfile")
    assert "--tag tandem:latest --tag tandem:1 --label version=1 --build-arg BASE_IMAGE=own" in command
    assert "--secret id=netrc,src=/home/.netrc" in command
    assert "--volume /wheels:/wheels:ro /context" in command


def test_docker_is_shown_no_folders() -> None:
    assert not Builder("docker").shows_folders
    assert "--volume" not in Builder("docker").command(ORDER)


def test_a_build_that_fails_is_said(programs: Path) -> None:
    program(programs, "podman", "exit 3")
    with pytest.raises(ImageError, match=r"podman failed \(exit 3\)"):
        Builder("podman").build(ORDER)


def test_buildah_runs_a_program_in_a_container_that_it_takes_away(programs: Path, tmp_path: Path) -> None:
    program(programs, "buildah", f'echo "$@" >> {tmp_path}/asked; if [ "$1" = from ]; then echo box; else /bin/cat; fi')
    assert Builder("buildah").run_python("tandem", "print(1)") == "print(1)"
    assert (tmp_path / "asked").read_text().splitlines() == ["from tandem", "run box -- python -", "rm box"]


@pytest.mark.parametrize(("name", "answer"), [("podman", '[{"Size": 12}]'), ("buildah", '[{"size": "12"}]')])
def test_the_size_is_a_number_of_bytes(programs: Path, name: str, answer: str) -> None:
    program(programs, name, f"echo '{answer}'")
    assert Builder(name).size("tandem") == 12
