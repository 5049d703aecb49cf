"""The configuration of Sphinx, which builds the documentation site: see script/docs.

The source directory is the root of the repository, so that a link from one Markdown page to
another is the same link in the site.  Three things are added to Sphinx:

- A comment that begins with ``<!-- site`` on a line of its own holds Markdown for the site alone;
  ``-->``, on a line of its own, ends it.
- A file or a folder of the repository that a page links to, and that is no page, gets a page that
  shows it.
- The root of the site leads to docs/index.
"""

import os
import re
from html import escape
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"  # for fastinit.keras; the documentation does not depend on it

from docutils import nodes
from sphinx import addnodes
from sphinx.highlighting import PygmentsBridge
from sphinx.transforms import SphinxTransform

import fastinit
import fastinit.keras  # before PyTorch is mocked: SciPy, which Keras imports, asks for its classes

ROOT = Path(__file__).parents[1]

project = "fastinit"
author = "the authors of fastinit"
project_copyright = author
version = release = fastinit.__version__

root_doc = "docs/index"
include_patterns = ["docs/**", "CHANGELOG.md", "bench/*.md", "tests/*/report.md"]
exclude_patterns = ["build", "docs/_*", ".*"]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]

# GitHub gives these anchors to headings, too.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]

# The types stand in the sections of the docstrings, in words.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["torch"]
numpydoc_show_class_members = False

nitpicky = True

html_theme = "furo"
html_title = f"fastinit {version}"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"
pygments_dark_style = "github-dark"

copybutton_exclude = ".gp, .go"  # prompts, and what is printed


def uncomment(app, docname, source):
    """Open the comments that hold Markdown for the site; every line keeps its number."""
    source[0] = re.sub(r"(?ms)^<!-- site$(.*?)^-->$", r"\1", source[0])


class LinkedFiles(SphinxTransform):
    """Send links to files that are no pages to the pages that show them."""

    default_priority = 1

    def apply(self, **kwargs):
        """Replace the nodes for downloads, and those for folders, which MyST takes for pages."""
        docname = self.env.docname
        here = (ROOT / docname).parent
        for node in list(self.document.findall(addnodes.pending_xref)) + list(
            self.document.findall(addnodes.download_reference)
        ):
            path = here.joinpath(node["reftarget"]).resolve()
            if isinstance(node, addnodes.pending_xref) and not path.is_dir():
                continue
            name = path.relative_to(ROOT).as_posix()
            self.env.metadata[docname].setdefault("files", set()).add(name)
            uri = self.app.builder.get_relative_uri(docname, f"files/{name}")
            node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))


def pages_of_files(app):
    """Yield a page for each file that is linked."""
    names = set().union(*(data.get("files", ()) for data in app.env.metadata.values()))
    bridge = PygmentsBridge("html", app.config.pygments_style)
    for name in sorted(names):
        path = ROOT / name
        if path.is_dir():
            text = "\n".join(sorted(file.name for file in path.iterdir()))
        else:
            text = path.read_text(encoding="utf-8")
        language = {".py": "python", ".h": "c"}.get(path.suffix, "text")
        shown = bridge.highlight_block(text, language)
        body = f"<h1>{escape(name)}</h1>\n{shown}"
        yield f"files/{name}", {"title": name, "body": body, "parents": []}, "page.html"


def setup(app):
    """Add what the head of this file lists."""
    app.connect("source-read", uncomment)
    app.connect("html-collect-pages", pages_of_files)
    app.add_transform(LinkedFiles)
