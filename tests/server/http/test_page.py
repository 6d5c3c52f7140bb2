"""The page's files: how they are sent, and what may stand in them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from wenlu.server.http.page import CONTENT_SECURITY_POLICY, MEDIA_TYPES, STATIC, Asset, assets, page_paths, page_routes

MODULES = sorted(path for path in STATIC.rglob("*.mjs") if path.name != "vendor.mjs")
NAMES = [path.relative_to(STATIC).as_posix() for path in MODULES]
SPECIAL = {"name", "name.zh", "name.en", "language.other", "language.other.tag"}


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=page_routes()), follow_redirects=False)


@pytest.mark.parametrize("asset", assets(), ids=lambda asset: asset.path)
def test_each_file_is_sent_as_it_is_with_the_headers_that_guard_it(client: TestClient, asset: Asset) -> None:
    answer = client.get(asset.path, headers={"accept-encoding": "identity"})
    name = "index.html" if asset.path == "/" else asset.path.removeprefix("/static/")
    assert answer.status_code == 200
    assert answer.content == (STATIC / name).read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"


def test_the_policy_is_that_of_the_contract() -> None:
    assert CONTENT_SECURITY_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
        "require-trusted-types-for 'script'"
    )


def test_who_has_a_file_is_told_that_it_is_still_the_same(client: TestClient) -> None:
    first = client.get("/static/app.mjs", headers={"accept-encoding": "identity"})
    again = {"if-none-match": f'"other", W/{first.headers["etag"]}', "accept-encoding": "identity"}
    assert client.get("/static/app.mjs", headers=again).status_code == 304
    assert client.get("/static/app.mjs", headers=again).content == b""
    assert client.get("/static/app.mjs", headers={"if-none-match": '"other"'}).status_code == 200


def test_gzip_is_for_who_takes_it_and_has_an_etag_of_its_own(client: TestClient) -> None:
    plain = client.get("/", headers={"accept-encoding": "gzip;q=0, identity"})
    zipped = client.get("/", headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["vary"] == "accept-encoding"
    assert zipped.content == plain.content
    assert zipped.headers["etag"] != plain.headers["etag"]


def test_head_is_answered_and_nothing_can_be_written(client: TestClient) -> None:
    assert client.head("/").status_code == 200
    assert client.head("/").content == b""
    assert client.post("/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../http/page.py",
        "/static/..%2fhttp%2fpage.py",
        "/static/%2e%2e/http/page.py",
        "/static/..\\http\\page.py",
        "/static//app.mjs",
        "/static/",
        "/static",
        "/static/app.mjs/",
        "/static/app.mjs%00.css",
        "/STATIC/app.mjs",
        "/index.html",
    ],
)
def test_no_other_path_reaches_a_file(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 307)
    assert b"class Asset" not in answer.content
    assert path not in page_paths()


def test_the_libraries_are_those_that_were_written_down() -> None:
    record = json.loads((STATIC / "vendor.json").read_text(encoding="utf-8"))
    content = (STATIC / "vendor.mjs").read_bytes()
    assert record["integrity"] == "sha384-" + b64encode(hashlib.sha384(content).digest()).decode()
    assert len(content) <= 120_000
    licences = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")
    for package in record["packages"]:
        assert package["integrity"].startswith("sha512-")
        assert package["license"] in ("MIT", "Apache-2.0", "(MPL-2.0 OR Apache-2.0)")
        assert f"{package['name']} {package['version']}\n" in licences


def test_all_scripts_together_are_less_than_150_kilobytes() -> None:
    scripts = [asset for asset in assets() if asset.path.endswith((".mjs", ".js"))]
    assert sum(len(gzip.compress(asset.body)) for asset in scripts) <= 150_000


def test_both_languages_have_the_same_words_with_the_same_gaps() -> None:
    english, chinese = (_words(name) for name in ("en", "zh"))
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key
        assert text.strip(), key
        if key not in SPECIAL:
            assert not re.search(r"[\u3400-\u9fff]", text), key


def test_all_words_that_the_modules_ask_for_are_there() -> None:
    known = set(_words("en"))
    families = {key.rpartition(".")[0] for key in known} | {key.partition(".")[0] for key in known}
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for key in re.findall(r"\bt\(\s*\"([^\"]+)\"", text):
            assert key in known or f"{key}.other" in known, f"{path.name}: {key}"
        for prefix in re.findall(r"\bt\(`([\w.]+)\.\$\{", text):
            assert prefix in families, f"{path.name}: {prefix}"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_has_words_of_its_own(path: Path) -> None:
    code = re.sub(r"^\s*(//|/\*\*|\*).*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not re.search(r"[\u3400-\u9fff\uff00-\uffef]", code)
    assert not re.search(r"(aria-label|title|placeholder|alt)=\"[^\"]*\w", code)
    for template in re.findall(r"html`(.*?)`", re.sub(r"\$\{[^{}`]*\}", "", code), flags=re.DOTALL):
        for between in re.findall(r">([^<>$]*)</", template):
            assert not re.search(r"[A-Za-z]{2,}", between), between


def test_html_is_made_of_text_in_one_place_and_code_of_text_nowhere() -> None:
    makers = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|createContextualFragment"
        r"|srcdoc|DOMParser|setHTMLUnsafe|\beval\b|new Function|setAttribute\(\"(?:on|style)|import\("
    )
    found = [(path.name, hit) for path in MODULES for hit in makers.findall(path.read_text(encoding="utf-8"))]
    assert found == [("markdown.mjs", "innerHTML")]


def test_nothing_on_the_page_is_from_elsewhere_or_inline() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<style|style=|\son\w+=", page)
    assert re.findall(r"<script[^>]*>([^<]+)</script>", page) == []
    for path in STATIC.rglob("*.css"):
        assert not re.search(r"@import|url\(", path.read_text(encoding="utf-8")), path
    linked = set(re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", page))
    assert linked <= page_paths()
    modules = {asset.path for asset in assets() if asset.path.endswith((".mjs", ".css"))}
    assert modules <= linked, "what the page needs is asked for at once, not after what needs it"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("// ")
    assert len(lines) <= 170
    assert max(map(len, lines)) <= 120 or path.name == "icons.mjs"


def _words(name: str) -> dict[str, str]:
    words: dict[str, str] = json.loads((STATIC / "locales" / f"{name}.json").read_text(encoding="utf-8"))
    return words
