"""How far a network in the kernel is behind the microphone of a notebook: data/results/listening_delays.csv.

    .venv/bin/python benchmarks/listening.py

JupyterLab in the system's Chromium, whose simulated microphone hears two clips of `mini/genre`; the course's genre
network answers through LiteRT, every half second. A line for each answer: how long its sound waited to be sent, how
long the way to Python and back took, the computation, and the drawing, in seconds. Notebook 11b reads the table.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import soundfile
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser.conftest import chromium_path  # noqa: E402
from browser.opening import jupyter_lab, run_all_cells, watch  # noqa: E402

from dl4mir_utils.paths import data_root  # noqa: E402

TABLE = data_root() / "results" / "listening_delays.csv"
HEARD_S = 45
NOTEBOOK = """
from dl4mir_utils.apps.lite import network
from dl4mir_utils.player import listen
genre = network("genre_mini")
def answer(window):
    return genre("window", audio=window[None, :, None])["genre"][0]
live = listen(answer, genre.card["labels"], window_s=2.56, kind="pie")
live
"""
RUN = """async code => {
  const { session } = jupyterapp.shell.currentWidget.sessionContext;
  await session.kernel.requestExecute({ code }).done;
}"""


def main() -> None:
    clips = [
        soundfile.read(data_root() / "mini" / "clips" / f"{name}.ogg")[0] for name in ("muldjord_01_0", "0ad_01_0")
    ]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        soundfile.write(folder / "heard.wav", np.concatenate(clips), 16000, subtype="PCM_16")
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        cells = [nbformat.v4.new_code_cell(NOTEBOOK)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "listen.ipynb")
        with jupyter_lab(folder) as address:
            browser = playwright.chromium.launch(
                executable_path=chromium_path(),
                args=[
                    "--no-sandbox",
                    "--autoplay-policy=no-user-gesture-required",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                    f"--use-file-for-fake-audio-capture={folder / 'heard.wav'}",
                ],
            )
            page = watch(browser.new_page(viewport={"width": 1200, "height": 900}))
            page.goto(f"{address}/lab/tree/listen.ipynb?reset")
            run_all_cells(page)
            page.wait_for_selector(".d-listen-button", timeout=60_000)
            page.click(".d-listen-button")
            page.wait_for_timeout(1000 * HEARD_S)
            page.click(".d-listen-button")
            page.wait_for_timeout(1000)
            page.evaluate(RUN, f"live.delays.round(4).to_csv({str(TABLE)!r}, index=False)")
            browser.close()
    table = np.loadtxt(TABLE, delimiter=",", skiprows=1)
    print(f"{len(table)} answers; behind the sound: median {np.median(table.sum(axis=1)):.3f} s, ", end="")
    print(f"95th percentile {np.percentile(table.sum(axis=1), 95):.3f} s: {TABLE}")


if __name__ == "__main__":
    main()
