from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from scripts.image.install_settings import folders, script, secret_files, variables

if TYPE_CHECKING:
    from pathlib import Path


def test_pips_configuration_reaches_uv_and_pip() -> None:
    pip = {"index-url": "https://user:secret@mirror/simple", "trusted-host": "mirror", "no-index": "true"}
    said = variables(pip, {}, (), torch_is_found=False)
    assert said["UV_DEFAULT_INDEX"] == said["PIP_INDEX_URL"] == "https://user:secret@mirror/simple"
    assert said["UV_INSECURE_HOST"] == said["PIP_TRUSTED_HOST"] == "mirror"
    assert said["INSTALL_FLAGS"] == "--no-index"


def test_uvs_own_variables_about_sources_go_along_and_those_about_this_machine_do_not() -> None:
    env = {"UV_INDEX": "https://own", "UV_INDEX_OWN_PASSWORD": "secret", "UV_CACHE_DIR": "/here", "UV_PYTHON": "3.13"}
    assert variables({}, env, (), torch_is_found=False) == {
        "UV_INDEX": "https://own",
        "UV_INDEX_OWN_PASSWORD": "secret",
    }


def test_secret_files_are_named_to_both_installers(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / ".netrc").touch()
    files = secret_files({"cert": str(tmp_path / "ca.pem")}, {"UV_CONFIG_FILE": str(tmp_path / "none")}, tmp_path)
    assert files["certificates"] == tmp_path / "ca.pem"
    assert files["netrc"] == tmp_path / ".netrc"
    said = variables({}, {}, files, torch_is_found=False)
    assert said["SSL_CERT_FILE"] == said["PIP_CERT"] == "/run/secrets/certificates"
    assert said["NETRC"] == "/run/secrets/netrc"


def test_torch_comes_from_where_it_was_found() -> None:
    assert "unset UV_TORCH_BACKEND" in script(variables({}, {}, (), torch_is_found=True))
    assert "UV_TORCH_BACKEND" not in variables({}, {}, (), torch_is_found=False)


def test_a_shell_reads_every_value_as_it_was() -> None:
    value = 'it\'s $HOME; `rm` "x"'
    shell = (
        script({"UV_INDEX": value, "UV_TORCH_BACKEND": ""}) + 'printf "%s|%s" "$UV_INDEX" "${UV_TORCH_BACKEND-gone}"'
    )
    done = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, check=True, env={"UV_TORCH_BACKEND": "cpu"}
    )
    assert done.stdout == f"{value}|gone"


def test_folders_with_packages_are_shown_to_the_build(tmp_path: Path) -> None:
    for name in ("wheels", "index/simple", "cache"):
        (tmp_path / name).mkdir(parents=True)
    said = {
        "UV_FIND_LINKS": f"{tmp_path}/wheels,https://elsewhere/wheels",
        "UV_INDEX": f"file://{tmp_path}/index/simple https://elsewhere/simple",
        "UV_DEFAULT_INDEX": str(tmp_path / "not-there"),
    }
    assert folders(said, None) == {
        tmp_path / "index": f"{tmp_path}/index:ro",
        tmp_path / "wheels": f"{tmp_path}/wheels:ro",
    }
    assert set(folders(said, tmp_path / "cache")) == {tmp_path / "index", tmp_path / "wheels", tmp_path / "cache"}
