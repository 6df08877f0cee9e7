from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from services.errors import PermissionDenied, Unauthenticated, Unavailable
from services.gateway.control.identity import Holder, Identity, address_of
from services.gateway.control.keys import Key, KeyStoreDown, digest_of, new_secret
from services.gateway.control.keys_file import FileKeys
from services.gateway.head import bearer
from tests.keys import make_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from services.gateway.control.keys import Keys


class FakeStore:
    """Keys in memory, that cannot be read when told so."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys
        self.down = False

    async def fetch(self) -> Keys | None:
        if self.down:
            raise KeyStoreDown("gone")
        return self.keys

    async def exists(self) -> bool:
        return bool(self.keys)

    async def change(self, edit: Callable[[Keys], Keys]) -> None:
        self.keys = edit(self.keys)

    async def close(self) -> None:
        pass


def key(secret: str, expires: float | None = None) -> Key:
    return Key(name="one", digest=digest_of(secret.encode()).hex(), created=0.0, expires=expires)


def test_secret_has_256_bits_and_a_prefix() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {len("tdm_") + 43}
    assert all(secret.startswith("tdm_") for secret in secrets)


async def test_key_is_found_by_its_secret_alone() -> None:
    secret = new_secret()
    identity = Identity(FakeStore(key(secret)), required=True)
    await identity.refresh()
    assert identity.holder_of(secret.encode(), "/classify", ("infer",)).key.name == "one"
    for wrong in (None, b"", secret[:-1].encode(), secret.encode() + b"x" * 300, digest_of(secret.encode())):
        with pytest.raises(Unauthenticated):
            identity.holder_of(wrong, "/classify", ("infer",))


async def test_key_whose_digest_begins_alike_is_not_taken_for_another() -> None:
    secret = new_secret()
    digest = digest_of(secret.encode())
    twin = Key(name="twin", digest=(digest[:8] + bytes(24)).hex(), created=0.0)
    identity = Identity(FakeStore(twin), required=True)
    await identity.refresh()
    with pytest.raises(Unauthenticated):
        identity.holder_of(secret.encode(), "/classify", ("infer",))


class Twin(bytes):
    """A secret that Python's hash takes for another."""

    twin = b""

    def __hash__(self) -> int:
        return hash(self.twin)


async def test_secret_that_python_hashes_like_a_good_one_is_not_taken_for_it() -> None:
    secret = new_secret().encode()
    identity = Identity(FakeStore(key(secret.decode())), required=True)
    await identity.refresh()
    twin = Twin(secret[:-1] + b"?")
    twin.twin = secret
    for _ in range(2):
        identity.holder_of(secret, "/classify", ("infer",))
        with pytest.raises(Unauthenticated):
            identity.holder_of(twin, "/classify", ("infer",))


async def test_what_was_seen_of_a_key_is_forgotten_when_the_keys_change() -> None:
    secret = new_secret()
    store = FakeStore(key(secret))
    identity = Identity(store, required=True)
    await identity.refresh()
    first = identity.holder_of(secret.encode(), "/classify", ("infer",))
    assert identity.holder_of(secret.encode(), "/classify", ("infer",)) is first
    with pytest.raises(PermissionDenied):
        identity.holder_of(secret.encode(), "/metrics", ("admin",))
    store.keys = (msgspec.structs.replace(store.keys[0], scopes=("chat",)),)
    await identity.refresh()
    with pytest.raises(PermissionDenied):
        identity.holder_of(secret.encode(), "/classify", ("infer",))
    store.keys = ()
    await identity.refresh()
    with pytest.raises(Unauthenticated, match="not known"):
        identity.holder_of(secret.encode(), "/classify", ("infer",))


async def test_key_expires() -> None:
    now = [100.0]
    secret = new_secret()
    identity = Identity(FakeStore(key(secret, expires=101.0)), required=True, clock=lambda: now[0])
    await identity.refresh()
    identity.holder_of(secret.encode(), "/classify", ("infer",))
    now[0] = 101.0
    with pytest.raises(Unauthenticated, match="expired"):
        identity.holder_of(secret.encode(), "/classify", ("infer",))


async def test_known_keys_stay_good_while_the_store_is_down_and_nobody_gets_in_before_it_was_read() -> None:
    secret = new_secret()
    store = FakeStore(key(secret))
    store.down = True
    identity = Identity(store, required=False)
    await identity.refresh()
    assert identity.closed
    with pytest.raises(Unavailable):
        identity.holder_of(secret.encode(), "/classify", ("infer",))
    store.down = False
    await identity.refresh()
    store.down = True
    await identity.refresh()
    assert identity.holder_of(secret.encode(), "/classify", ("infer",)).key.name == "one"


def test_admin_may_do_everything_and_others_what_they_have() -> None:
    plain = key("x")
    Holder(plain).check_scopes(("infer", "chat"))
    with pytest.raises(PermissionDenied, match="'admin'"):
        Holder(plain).check_scopes(("infer", "admin"))
    Holder(msgspec.structs.replace(plain, scopes=("admin",))).check_scopes(("chat", "infer"))
    Holder(plain).check_model("anything")
    with pytest.raises(PermissionDenied):
        Holder(msgspec.structs.replace(plain, models=("iris",))).check_model("fraud")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("testclient", "testclient"),
    ],
)
def test_address_stands_for_one_client(host: str, address: str) -> None:
    assert address_of(host) == address


def test_bearer_is_the_one_scheme() -> None:
    assert bearer(b"Bearer tdm_x") == bearer(b"bearer  tdm_x ") == b"tdm_x"
    assert bearer(b"Basic eDp5") is None


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_file_is_private_replaced_whole_and_read_when_it_changed(tmp_path: Path) -> None:
    store = FileKeys(tmp_path / "keys.json")
    assert await store.fetch() is None
    assert not await store.exists()
    secret = await make_key(store, "one")
    path = tmp_path / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in path.read_text()
    assert [one.name for one in await store.fetch() or ()] == ["one"]
    assert await store.fetch() is None
    await make_key(store, "two")
    assert len(await store.fetch() or ()) == 2
    assert names_in(tmp_path) == ["keys.json", "keys.json.lock"]


async def test_file_that_is_broken_or_open_to_others_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    store = FileKeys(path)
    await make_key(store, "one")
    path.chmod(0o622)
    with pytest.raises(KeyStoreDown, match="chmod 600"):
        store.read()
    path.chmod(0o600)
    path.write_text("{")
    with pytest.raises(KeyStoreDown, match="cannot be read"):
        await store.fetch()


async def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    def create(number: int) -> None:
        asyncio.run(make_key(FileKeys(path), f"key-{number}"))

    await asyncio.gather(*(asyncio.to_thread(create, number) for number in range(8)))
    assert len(FileKeys(path).read()) == 8
