"""Put the libraries of the server's page into one file, once, and write down what is in it.

    python tools/vendor_web.py

needs npm; esbuild and the libraries come through it at the versions below, and no script of theirs is run. Whoever
changes a version reads what changed in it first, and waits a week after it appeared.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

STATIC = Path(__file__).parent.parent / "src" / "wenlu" / "server" / "static"
ESBUILD = "0.28.2"
PACKAGES = {
    "preact": "11.2.0",
    "htm": "3.1.1",
    "@preact/signals": "2.11.4",
    "@preact/signals-core": "1.14.5",
    "markdown-it": "15.0.3",
    "mdurl": "2.1.0",
    "uc.micro": "3.0.0",
    "dompurify": "3.4.18",
}
EXPORTS = """
import { h } from "preact";
import htm from "htm";
export { h, render, Fragment } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "@preact/signals";
export { default as MarkdownIt } from "markdown-it";
export { default as DOMPurify } from "dompurify";
export const html = htm.bind(h);
"""
INSTEAD = {
    # A third of markdown-it are tables of what models hardly write; these stand in their place.
    "entities": """
const named = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\\u00a0", ensp: "\\u2002", emsp: "\\u2003", shy: "\\u00ad",
  ndash: "\\u2013", mdash: "\\u2014", lsquo: "\\u2018", rsquo: "\\u2019", ldquo: "\\u201c", rdquo: "\\u201d",
  laquo: "\\u00ab", raquo: "\\u00bb", hellip: "\\u2026", middot: "\\u00b7", bull: "\\u2022", copy: "\\u00a9",
  reg: "\\u00ae", trade: "\\u2122", deg: "\\u00b0", plusmn: "\\u00b1", times: "\\u00d7", divide: "\\u00f7",
  minus: "\\u2212", ne: "\\u2260", le: "\\u2264", ge: "\\u2265", asymp: "\\u2248", infin: "\\u221e",
  larr: "\\u2190", uarr: "\\u2191", rarr: "\\u2192", darr: "\\u2193", euro: "\\u20ac", pound: "\\u00a3",
  yen: "\\u00a5", cent: "\\u00a2", sect: "\\u00a7", para: "\\u00b6",
};
export const decodeHTMLStrict = text =>
  text.replace(/&([a-z]{2,8});/gi, (whole, name) => (Object.hasOwn(named, name) ? named[name] : whole));
""",
    "linkify-it": "export class LinkifyIt {}",
    "punycode.js": "export default { toASCII: name => name, toUnicode: name => name };",
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return vendor(Path(folder))


def vendor(folder: Path) -> int:
    wanted = {"private": True, "dependencies": {**PACKAGES, "esbuild": ESBUILD}}
    (folder / "package.json").write_text(json.dumps(wanted))
    _run(folder, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    (folder / "entry.mjs").write_text(EXPORTS)
    aliases = []
    for name, source in INSTEAD.items():
        (folder / f"instead-{name}.mjs").write_text(source)
        aliases.append(f"--alias:{name}=./instead-{name}.mjs")
    options = ["--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=none", "--charset=utf8"]
    esbuild = folder / "node_modules" / ".bin" / "esbuild"
    _run(folder, str(esbuild), "entry.mjs", *options, *aliases, "--outfile=vendor.mjs", "--metafile=meta.json")
    content = (folder / "vendor.mjs").read_bytes()
    lock = json.loads((folder / "package-lock.json").read_text())["packages"]
    inputs = json.loads((folder / "meta.json").read_text())["inputs"]
    bundled = sorted({_package_of(path) for path in inputs if path.startswith("node_modules/")})
    (STATIC / "vendor.mjs").write_bytes(content)
    record = {
        "integrity": integrity(content),
        "esbuild": ESBUILD,
        "packages": [_entry(name, lock[f"node_modules/{name}"]) for name in bundled],
        "replaced": sorted(INSTEAD),
    }
    (STATIC / "vendor.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    texts = [f"{name} {lock[f'node_modules/{name}']['version']}\n\n{_licence(folder, name)}" for name in bundled]
    (STATIC / "LICENSES.txt").write_text(("\n" + "=" * 80 + "\n\n").join(texts), encoding="utf-8")
    print(f"{len(content):,} bytes: {', '.join(bundled)}")
    return 0


def integrity(content: bytes) -> str:
    """As npm and browsers write it."""
    return "sha384-" + b64encode(hashlib.sha384(content).digest()).decode()


def _package_of(path: str) -> str:
    parts = path.removeprefix("node_modules/").split("/")
    return "/".join(parts[: 2 if parts[0].startswith("@") else 1])


def _entry(name: str, locked: dict[str, str]) -> dict[str, str]:
    return {"name": name} | {key: locked[key] for key in ("version", "integrity", "license")}


def _licence(folder: Path, name: str) -> str:
    found = sorted((folder / "node_modules" / name).glob("LICENSE*"))
    return found[0].read_text(encoding="utf-8").strip() + "\n"


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
