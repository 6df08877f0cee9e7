from __future__ import annotations

import os
import sys
from pathlib import Path

from scripts.pip_settings import parse_pip_config, read_pip_config, uv_flags, uv_settings

LISTING = """\
:env:.disable-pip-version-check='1'
:env:.find-links='/wheels'
global.extra-index-url='file:///one/simple\\nhttps://mirror.example/two'
global.find-links='/ignored'
global.index-url='https://user:pass=word@mirror.example/simple'
install.trusted-host='mirror.example'
list.format='columns'
"""


def test_a_listing_is_read_and_the_environment_wins() -> None:
    pip = parse_pip_config(LISTING)
    assert pip["find-links"] == "/wheels"
    assert pip["index-url"] == "https://user:pass=word@mirror.example/simple"
    assert pip["trusted-host"] == "mirror.example"
    assert "format" not in pip


def test_uv_is_told_the_same() -> None:
    said = uv_settings(parse_pip_config(LISTING), {}, system_certificates=True)
    assert said["UV_FIND_LINKS"] == "/wheels"
    assert said["UV_INDEX"] == "file:///one/simple https://mirror.example/two"
    assert said["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert said["UV_DEFAULT_INDEX"] == "https://user:pass=word@mirror.example/simple"
    assert said["UV_INSECURE_HOST"] == "mirror.example"
    assert said["UV_SYSTEM_CERTS"] == "true"


def test_several_find_links_are_joined_as_uv_wants_them() -> None:
    assert uv_settings({"find-links": "/one /two"}, {}, system_certificates=False) == {"UV_FIND_LINKS": "/one,/two"}


def test_what_the_caller_told_uv_stays() -> None:
    env = {"UV_FIND_LINKS": "/mine", "SSL_CERT_FILE": "/mine.pem"}
    pip = {"find-links": "/wheels", "cert": "/pip.pem"}
    assert uv_settings(pip, env, system_certificates=True) == {}


def test_a_certificate_for_pip_is_one_for_uv() -> None:
    assert uv_settings({"cert": "/pip.pem"}, {}, system_certificates=True) == {"SSL_CERT_FILE": "/pip.pem"}


def test_no_index_becomes_a_flag() -> None:
    assert uv_flags({"no-index": "true"}) == ["--no-index"]
    assert uv_flags({"no-index": "0"}) == []
    assert uv_flags({}) == []


def test_pip_itself_is_asked() -> None:
    env = {**os.environ, "PIP_FIND_LINKS": "/somewhere", "PIP_CONFIG_FILE": os.devnull}
    assert read_pip_config(Path(sys.executable), env)["find-links"] == "/somewhere"


def test_without_pip_nothing_is_known() -> None:
    assert read_pip_config(Path("/bin/false"), os.environ) == {}
