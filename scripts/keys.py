"""Makes, lists and withdraws API keys: `python -m scripts.keys create|list|revoke|rotate`.

Works on the store that the settings name: the file `keys.file`, or Redis where `redis.url` is set. A running server learns of a
change within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from services.gateway.control.assembly import key_store
from services.gateway.control.keys import (
    Key,
    KeyLimits,
    KeyProblem,
    KeyStoreDown,
    Scope,
    added,
    digest_of,
    new_secret,
    rotated,
    without,
)
from services.settings.tree import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.gateway.control.keys import Keys, KeyStore

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def main(arguments: Sequence[str], store: KeyStore | None = None) -> int:
    """Does one thing with the keys in `store`, by default the settings' one; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options, store or key_store(load_settings())))
    except (KeyProblem, KeyStoreDown) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace, store: KeyStore) -> None:
    try:
        await {"create": _create, "list": _list, "revoke": _revoke, "rotate": _rotate}[options.command](options, store)
    finally:
        await store.close()


async def _create(options: argparse.Namespace, store: KeyStore) -> None:
    secret = new_secret()
    now = time.time()
    key = Key(
        name=options.name,
        digest=digest_of(secret.encode()).hex(),
        created=now,
        scopes=tuple(options.scope or ("infer", "chat")),
        models=tuple(options.model or ()),
        expires=now + options.expires if options.expires else None,
        limits=KeyLimits(options.requests_per_minute, options.tokens_per_minute, options.concurrent_requests),
    )
    await store.change(lambda keys: added(keys, key))
    _show(secret)


async def _list(_: argparse.Namespace, store: KeyStore) -> None:
    keys: Keys = await store.fetch() or ()
    rows = [("NAME", "SCOPES", "MODELS", "LIMITS", "CREATED", "EXPIRES")]
    rows += [
        (
            key.name,
            ",".join(key.scopes),
            ",".join(key.models) or "all",
            _limits(key.limits),
            _date(key.created),
            ("expired " if key.expired(time.time()) else "") + _date(key.expires),
        )
        for key in sorted(keys, key=lambda key: (key.name, key.created))
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


async def _revoke(options: argparse.Namespace, store: KeyStore) -> None:
    await store.change(lambda keys: without(keys, options.name))
    print(f"{options.name} is revoked; servers refuse it within a second.")


async def _rotate(options: argparse.Namespace, store: KeyStore) -> None:
    secret = new_secret()
    digest = digest_of(secret.encode()).hex()
    await store.change(lambda keys: rotated(keys, options.name, digest, options.overlap or 0))
    _show(secret)


def _show(secret: str) -> None:
    print(secret)
    print("This is the only time that the secret is shown.", file=sys.stderr)


def _limits(limits: KeyLimits) -> str:
    named = (
        (limits.requests_per_minute, "requests/min"),
        (limits.tokens_per_minute, "tokens/min"),
        (limits.concurrent_requests, "at once"),
    )
    return ", ".join(f"{value} {unit}" for value, unit in named if value) or "as set for all"


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M") if seconds else "never"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.keys", description="API keys of Tandem.")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key and show its secret, once")
    create.add_argument("name", type=_name)
    create.add_argument(
        "--scope", action="append", choices=get_args(Scope), help="may be repeated; default: infer, chat"
    )
    create.add_argument("--model", action="append", help="a model that it may use, may be repeated; default: all")
    create.add_argument("--expires", type=_seconds, metavar="TIME", help="how long it is good for: 90d, 12h, 30m")
    create.add_argument("--requests-per-minute", type=_positive, metavar="N")
    create.add_argument("--tokens-per-minute", type=_positive, metavar="N")
    create.add_argument("--concurrent-requests", type=_positive, metavar="N")
    commands.add_parser("list", help="list the keys, never their secrets")
    revoke = commands.add_parser("revoke", help="withdraw a key")
    revoke.add_argument("name")
    rotate = commands.add_parser("rotate", help="give a key a new secret and show it, once")
    rotate.add_argument("name")
    rotate.add_argument(
        "--overlap", type=_seconds, metavar="TIME", help="how long the old secret stays good; default: not"
    )
    return parser


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("a name has up to 64 letters, digits, dots, dashes and underscores")
    return text


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90d, 12h, 30m or 45s")
    return float(int(number) * _UNITS[unit])


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
