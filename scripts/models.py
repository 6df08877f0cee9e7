"""The model store: `python -m scripts.models add|list|show|remove`. `make model-add FILE=... NAME=...` is the short way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models import store
from models.errors import ModelError, NotStored
from models.spec import TensorSpec

if TYPE_CHECKING:
    from models.own.storing import Added
    from models.spec import ModelSpec

_MOST_FEATURES_SHOWN = 12


class _Words(click.ParamType[tuple[str, ...]]):
    """Words with commas between them."""

    name = "a,b,c"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        words = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        if not all(words):
            self.fail("there is an empty name", param, ctx)
        return words


class _Tensor(click.ParamType[TensorSpec]):
    """A tensor as ``name:FP32:-1,3``."""

    name = "name:DATATYPE:shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TensorSpec:
        if isinstance(value, TensorSpec):
            return value
        try:
            name, datatype, shape = value.rsplit(":", 2)
            sizes = tuple(int(size) for size in shape.split(",") if size)
        except ValueError:
            self.fail(f"{value!r} is not like image:FP32:-1,3,32,32", param, ctx)
        return TensorSpec(name=name, datatype=datatype.upper(), shape=sizes)


@click.group(help="Models of your own: add them to the model store, and see what is there.")
def main() -> None:
    """Run one of the commands."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What clients will call it.")
@click.option("--features", type=_Words(), help="Names of the columns, where the model does not know them.")
@click.option("--labels", type=_Words(), help="Names of the classes, in the model's order; makes it a classifier.")
@click.option(
    "--example",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows as the model will get them: .csv (a head line names the features), .json or .npy.",
)
@click.option("--input", "inputs", type=_Tensor(), multiple=True, help="A tensor that a TorchScript file takes.")
@click.option("--outputs", type=_Words(), help="Names for a torch network's outputs.")
@click.option("--as-tensors", is_flag=True, help="Serve the graph's own tensors, not a classifier.")
@click.option("--description", default="", help="A sentence for people who see it in a list.")
@click.option("--trust-pickle", is_flag=True, help="Unpickle the file: it can run any code. Only for what you trust.")
def add(file: Path, name: str, example: Path | None, description: str, **wishes: Any) -> None:
    """Try the model in FILE and store it as a new version of NAME.

    FILE is an ONNX model (.onnx), a scikit-learn estimator (.skops, or .joblib with --trust-pickle), an XGBoost model
    (.json, .ubj) or a torch network (.pt2 from torch.export, .pt from TorchScript).
    """
    from models.save import add as add_model
    from models.save import make_wishes

    try:
        rows, columns = read_example(example) if example else (None, None)
        added = add_model(
            file,
            make_wishes(
                rows,
                feature_names=wishes["features"] or columns,
                labels=wishes["labels"],
                inputs=wishes["inputs"],
                outputs=wishes["outputs"] or (),
                as_tensors=wishes["as_tensors"],
                trust_pickle=wishes["trust_pickle"],
            ),
            name=name,
            description=description,
        )
    except ModelError as error:
        raise click.ClickException(f"Not stored. {error}") from None
    _tell(added)


@main.command("list")
@click.option("--all", "everything", is_flag=True, help="Every version, not the newest alone.")
def list_models(*, everything: bool) -> None:
    """List the stored models."""
    specs = store.list_specs(all_versions=everything)
    if not specs:
        click.echo(f"There are no models in {store.store_folder()}. `make train` makes the ones that ship with Tandem.")
    for spec in specs:
        kind = f"{len(spec.labels)} labels" if spec.labels else "tensors"
        click.echo(f"{spec.name:<20} {spec.version:<26} {spec.framework:<13} {kind:<10} {spec.description}")


@main.command()
@click.argument("model")
def show(model: str) -> None:
    """Show what MODEL (a name, or name:version) takes and gives, and a request to try."""
    name, _, version = model.partition(":")
    try:
        spec, folder = store.find(name, version or None)
    except ModelError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{spec.name}:{spec.version}   {spec.framework}, engine {spec.engine}\n{spec.description}")
    click.echo(f"Stored in {folder}")
    for title, tensors in (("takes", spec.inputs), ("gives", spec.outputs)):
        for tensor in tensors:
            click.echo(f"  {title} {tensor.name}: {tensor.datatype} {list(tensor.shape)}")
    if spec.features:
        click.echo(f"  features: {_few([feature.name for feature in spec.features])}")
    if spec.labels:
        click.echo(f"  labels: {_few(list(spec.labels))}")
    for metric, value in spec.metrics.items():
        click.echo(f"  {metric}: {value:g}")
    click.echo(f"\n{request_for(spec)}")


@main.command()
@click.argument("model")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(model: str, *, yes: bool) -> None:
    """Delete MODEL (a name for all its versions, or name:version) from the store."""
    name, _, version = model.partition(":")
    if not yes and not version:
        click.confirm(f"Delete every version of {name}?", abort=True)
    try:
        gone = store.remove(name, version or None)
    except ModelError as error:
        raise click.ClickException(str(error)) from None
    for spec in gone:
        click.echo(f"Deleted {spec.name}:{spec.version}.")
    click.echo(f"A running server serves it until it restarts or gets POST /v2/repository/models/{name}/unload.")


def read_example(path: Path) -> tuple[Any, tuple[str, ...] | None]:
    """Rows out of a file, and the names of their columns where it has them. Raises NotStored."""
    import numpy as np

    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False), None
        if path.suffix == ".json":
            return _from_json(json.loads(path.read_text(encoding="utf-8")))
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        head = lines[0].split(",") if lines else []
        named = not all(_is_number(cell) for cell in head)
        rows = np.loadtxt(lines[1:] if named else lines, delimiter=",", ndmin=2)
    except (OSError, ValueError, IndexError) as error:
        raise NotStored(f"{path.name} is no table of numbers: {error}") from None
    return rows, tuple(cell.strip().strip('"') for cell in head) if named else None


def request_for(spec: ModelSpec) -> str:
    """A command line that asks the model, once it is served."""
    url = "http://127.0.0.1:3000"
    if spec.labels:
        row = {one.name: float(f"{one.typical or 0:.4g}") for one in spec.features}
        return _curl(f"{url}/classify", {"model": spec.name, "rows": [row]})
    inputs = [_input(tensor, spec) for tensor in spec.inputs]
    return _curl(f"{url}/v2/models/{spec.name}/infer", {"inputs": inputs})


def _input(tensor: TensorSpec, spec: ModelSpec) -> dict[str, Any]:
    import math

    shape = [1 if size == -1 else size for size in tensor.shape]
    values = [float(f"{one.typical or 0:.4g}") for one in spec.features]
    zero: Any = "" if tensor.datatype == "BYTES" else False if tensor.datatype == "BOOL" else 0
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": shape,
        "data": values or [zero] * min(math.prod(shape), 64),
    }


def _curl(url: str, body: dict[str, Any]) -> str:
    quoted = json.dumps(body).replace("'", "'\\''")
    return f"curl -s {url} -H 'content-type: application/json' -d '\n  {quoted}'"


def _tell(added: Added) -> None:
    spec = added.spec
    click.echo(f"Stored {spec.name}:{spec.version} ({spec.framework}); it was loaded and answered as the server will.")
    for note in added.notes:
        click.echo(f"  Note: {note}")
    for tensor in spec.inputs:
        named = f" ({_few([feature.name for feature in spec.features])})" if spec.features else ""
        click.echo(f"  takes {tensor.name}: {tensor.datatype} {list(tensor.shape)}{named}")
    for tensor in spec.outputs:
        named = f" ({_few(list(spec.labels))})" if tensor.name in ("label", "probabilities") and spec.labels else ""
        click.echo(f"  gives {tensor.name}: {tensor.datatype} {list(tensor.shape)}{named}")
    click.echo(
        "Serve it: `make serve`, or, where a server runs already:\n"
        f"  curl -X POST http://127.0.0.1:3000/v2/repository/models/{spec.name}/load\n"
        f"Ask it:\n  {request_for(spec)}"
    )


def _from_json(content: Any) -> tuple[Any, tuple[str, ...] | None]:
    rows = content.get("rows", content) if isinstance(content, dict) else content
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        columns = tuple(rows[0])
        return [[row[column] for column in columns] for row in rows if set(row) == set(columns)], columns
    return rows, None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_FEATURES_SHOWN])
    return shown if len(names) <= _MOST_FEATURES_SHOWN else f"{shown}, ... {len(names)} in all"


if __name__ == "__main__":
    main(prog_name="python -m scripts.models")
