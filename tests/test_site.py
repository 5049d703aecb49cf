"""The documentation site: where its links lead, what its reference has, and how a browser shows it.

`script/docs` builds the site and runs these tests; FASTINIT_SITE names the folder of the site.
"""

import ast
import functools
import http.server
import os
import re
import shutil
import threading
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock
from urllib.parse import unquote, urldefrag

import pytest

SITE = Path(os.environ["FASTINIT_SITE"])
PAGES = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
ROOT = Path(__file__).parents[1]
WIDTHS = (1440, 390)
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Page(HTMLParser):
    """The anchors of a page, and its links, each with its line."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if attrs.get("id"):
            self.anchors.append(attrs["id"])
        for name in ("href", "src"):
            if attrs.get(name) is not None:
                self.links.append((self.getpos()[0], attrs[name]))


@pytest.fixture(scope="module")
def pages():
    return {name: Page(SITE / name) for name in PAGES}


def is_external(link):
    return re.match(r"[a-z]+:", link) is not None


def dead_links(pages):
    """Return the links of pages that lead nowhere in the site."""
    dead = []
    for name, page in pages.items():
        for line, link in page.links:
            if is_external(link):
                continue
            address, anchor = urldefrag(link)
            address = unquote(address).partition("?")[0]
            target = os.path.normpath(os.path.join(os.path.dirname(name), address or "."))
            target = name if not address else target
            if target in pages:
                if anchor and unquote(anchor) not in pages[target].anchors:
                    dead.append(f"{name}:{line}: {link}: no such anchor")
            elif not (SITE / target).is_file() or target.startswith(".."):
                dead.append(f"{name}:{line}: {link}: no such file")
    return dead


def test_every_link_leads_somewhere(pages):
    assert not dead_links(pages)
    inside = sum(not is_external(link) for page in pages.values() for _, link in page.links)
    assert inside > 1000


def test_dead_links_are_found(tmp_path):
    text = '<a id="here" href="#here"></a><a href="#gone">\n<a href="b.html#x"><img src="c.png">'
    (tmp_path / "a.html").write_text(text)
    (tmp_path / "b.html").write_text("<p>")
    found = {name: Page(tmp_path / name) for name in ("a.html", "b.html")}
    with mock.patch.dict(globals(), SITE=tmp_path):
        assert [line.split(": ")[1] for line in dead_links(found)] == ["#gone", "b.html#x", "c.png"]


def test_no_anchor_stands_twice(pages):
    for name, page in pages.items():
        twice = [anchor for anchor, count in Counter(page.anchors).items() if count > 1]
        assert not twice, name


def test_every_page_of_the_documentation_is_in_the_site():
    sources = {path.relative_to(ROOT).with_suffix(".html") for path in ROOT.glob("docs/**/*.md")}
    assert {path.as_posix() for path in sources} <= set(PAGES)
    assert len(sources) > 10


def test_comments_and_directives_do_not_show(pages):
    """A comment says what a test does with a block, and the Markdown for the site is no text."""
    for name in PAGES:
        text = re.sub(r"(?s)<!--.*?-->", "", (SITE / name).read_text(encoding="utf-8"))
        for directive in ("{toctree}", "{.cards}"):
            assert directive not in text, name
        if not name.startswith(("docs/contributing", "files/")):
            assert "not run:" not in text, name
            assert "needs: torch" not in text, name


def public_names():
    """Return the full names of all that the public modules have in __all__, without modules."""
    listed = {}
    for path in ROOT.glob("src/fastinit/**/*.py"):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if "._" in module:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                listed[module] = ast.literal_eval(node.value)
    names = {f"{module}.{name}" for module, public in listed.items() for name in public}
    return names - listed.keys()


def test_every_public_name_stands_once_in_the_reference(pages):
    found = Counter(
        anchor
        for name, page in pages.items()
        if name.startswith("docs/api/")
        for anchor in page.anchors
    )
    public = public_names()
    assert {"fastinit.zeros", "fastinit.torch.init.normal_", "fastinit.keras.scope"} <= public
    assert {name: found[name] for name in public if found[name] != 1} == {}


@pytest.fixture(scope="module")
def address():
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium")
        pytest.skip("there is no Chromium: install it, or name it by CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, which continuous integration often is, Chromium has no sandbox.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser):
    """Provide a new tab, whose errors fail the test."""
    errors = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: said.type in ("error", "warning") and errors.append(page.url + said.text),
        )
        page.on(
            "response",
            lambda answer: answer.status >= 400 and errors.append(f"{answer.status} {answer.url}"),
        )
        page.on(
            "request",
            lambda asked: "//127.0.0.1" in asked.url or errors.append(f"asks for {asked.url}"),
        )
        yield page
    assert not errors


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_the_window(tab, address, width):
    tab.set_viewport_size({"width": width, "height": 900})
    wide = []
    for name in PAGES:
        if name == "index.html":
            continue  # it leads to another page at once
        tab.goto(f"{address}/{name}")
        # Tables and blocks of code scroll; the article, and all that holds it, does not.
        assert tab.locator("article").count() == 1, name
        scrolled = tab.evaluate(
            """() => {
              const found = [];
              for (let e = document.querySelector('article'); e; e = e.parentElement)
                if (e.scrollWidth > e.clientWidth + 1 &&
                    (!e.parentElement || getComputedStyle(e).overflowX != 'visible'))
                  found.push([e.tagName, e.className, e.scrollWidth, e.clientWidth]);
              return found;
            }"""
        )
        if scrolled:
            wide.append((name, scrolled))
    assert not wide


def test_search_finds_a_function(tab, address):
    tab.goto(f"{address}/docs/index.html")
    tab.locator("input[name=q]").first.fill("truncated_normal")
    tab.keyboard.press("Enter")
    found = tab.locator("ul.search a[href*='fastinit.truncated_normal']")
    found.first.wait_for(timeout=10_000)
    found.first.click()
    assert tab.url.endswith("#fastinit.truncated_normal")


def background(tab):
    return tab.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_switch_gives_a_dark_page(tab, address):
    tab.emulate_media(color_scheme="light")
    tab.goto(f"{address}/docs/index.html")
    tab.set_viewport_size({"width": 1440, "height": 900})
    light = background(tab)
    seen = set()
    for _ in range(3):  # automatic, light and dark
        tab.locator(".theme-toggle:visible").first.click()
        seen.add((tab.evaluate("document.body.dataset.theme"), background(tab)))
    assert {theme for theme, _ in seen} == {"auto", "light", "dark"}
    assert dict(seen)["light"] == dict(seen)["auto"] == light
    assert dict(seen)["dark"] != light
    tab.reload()  # it is kept
    assert background(tab) == light


def test_a_system_in_the_dark_gets_a_dark_page(tab, address):
    tab.goto(f"{address}/docs/index.html")
    light = background(tab)
    tab.emulate_media(color_scheme="dark")
    assert background(tab) != light


def test_a_button_copies_a_block_without_its_prompts(tab, address):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto(f"{address}/docs/initializers.html")
    buttons = tab.locator("article button.copybtn")
    assert buttons.count() == tab.locator("article div.highlight pre").count() > 5
    block = tab.locator("article div.highlight", has_text=">>> from fastinit").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("from fastinit import initializers\n")
    assert ">>>" not in copied


def test_the_root_leads_to_the_first_page(tab, address):
    # Without an icon the browser asks for /favicon.ico, sometimes before it goes on.
    icon = re.search(r'<link rel="icon" href="([^"]+)">', (SITE / "index.html").read_text())
    assert (SITE / icon[1]).exists()
    tab.goto(f"{address}/")
    tab.wait_for_url("**/docs/index.html")
    assert tab.locator("h1").inner_text().startswith("fastinit")
