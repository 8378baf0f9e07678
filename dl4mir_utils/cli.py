"""The command line `dl4mir`, also `python -m dl4mir_utils`.

Commands import what they need when they run: `doctor` must work where half the packages are broken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from dl4mir_utils.errors import Dl4mirError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tools of the DL4MIR course.")
data = typer.Typer(no_args_is_help=True, help="List, fetch, verify and remove full-size data sets.")
app.add_typer(data, name="data")

Name = Annotated[str, typer.Argument(help="A name that `dl4mir data list` shows.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.callback()
def main() -> None:
    """Tools of the DL4MIR course."""


@app.command()
def doctor() -> None:
    """Check that this machine can run the course; exit code 1 if something must be mended."""
    from dl4mir_utils.doctor import iterate_checks

    colours = {"OK": typer.colors.GREEN, "note": typer.colors.YELLOW, "FAIL": typer.colors.RED}
    failed = []
    for check in iterate_checks():
        typer.echo(f"{typer.style(f'{check.status:<5}', fg=colours[check.status])} {check.name}: {check.detail}")
        if check.remedy:
            typer.echo(f"      -> {check.remedy}")
        if check.status == "FAIL":
            failed.append(check.name)
    typer.echo(f"\nTo be mended: {', '.join(failed)}" if failed else "\nThis machine can run the course.")
    raise typer.Exit(code=1 if failed else 0)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except Dl4mirError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=1) from error


@data.command("list")
def list_data() -> None:
    """Show the data sets that can be fetched."""
    from rich.console import Console
    from rich.table import Table

    from dl4mir_utils.data.download import cache_root, data_sets

    table = Table("Name", "For", "Download", "Licence", "Here", box=None, padding=(0, 2, 0, 0))
    for column in (0, 2, 4):
        table.columns[column].no_wrap = True
    for row in data_sets().reset_index().itertuples(index=False):
        table.add_row(*row)
    Console().print(table)
    typer.echo(f"\nThey go to {cache_root()}")


@data.command()
def info(name: Name) -> None:
    """Show what is known about a data set."""
    with _plain_errors():
        from dl4mir_utils.data.download import describe_size, folder, status
        from dl4mir_utils.data.registry import data_set, total_size

        dataset, state = data_set(name), status(name)
        lines = {
            "For": dataset.purpose,
            "Licence": dataset.licence,
            "Split": dataset.split,
            "Groups": dataset.groups,
            "Homepage": dataset.homepage,
            "Addresses": dataset.url_state,
            "Download": f"{describe_size(total_size(dataset.files))}, files: {len(dataset.files)}",
            "Needs": ", ".join(dataset.needs) or "nothing else",
            "Here": f"{state.state}, {describe_size(state.bytes)} in {folder(name)}",
        }
        typer.echo("\n".join([dataset.title, *(f"  {key + ':':<10} {value}" for key, value in lines.items())]))


@data.command()
def fetch(name: Name, yes: Yes = False) -> None:
    """Download, verify and unpack what is missing of a data set; go on where it stopped."""
    with _plain_errors():
        from dl4mir_utils.data.download import fetch

        typer.echo(f"{name} is complete: {fetch(name, yes=yes)}")


@data.command()
def verify(name: Name) -> None:
    """Compare every file of a data set with its checksum; exit code 1 if one is missing or damaged."""
    with _plain_errors():
        from dl4mir_utils.data.download import verify

        wrong = verify(name)
    if not wrong:
        typer.echo(f"Every file of {name} is what it should be.")
        return
    for path in wrong[:20]:
        typer.echo(f"missing or damaged: {path}")
    typer.echo(f"In all: {len(wrong)}. `dl4mir data fetch {name}` gets them again.")
    raise typer.Exit(code=1)


@data.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Delete a data set's folder."""
    with _plain_errors():
        from dl4mir_utils.data.download import folder, remove

        remove(name, yes=yes)
        typer.echo(f"Deleted {folder(name)}")
