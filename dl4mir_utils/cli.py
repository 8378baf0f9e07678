"""The command line `dl4mir`, also `python -m dl4mir_utils`."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tools of the DL4MIR course.")


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
