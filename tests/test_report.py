"""`report`: what the page says, that nothing in it is believed to be more than text, and how
Chromium shows it."""

import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recipes.reporting import charts
from recipes.reporting.report import page
from recipes.runfolder.run import Run
from sandbox.errors import UsageError
from tests.conftest import run_cli
from tests.written_run import ATTACK, write_run

VERSIONS = {"python": "3.11.9", "torch": "2.13.0"}


@pytest.fixture(scope="module")
def run(calc, tmp_path_factory) -> Run:
    return write_run(tmp_path_factory.mktemp("runs") / "run", calc)


@pytest.fixture(scope="module")
def html(run) -> str:
    return page(run, VERSIONS)


class Seen(HTMLParser):
    """Tags and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_data(self, data):
        self.text += data


def svgs(html: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)


# ------------------------------------------------------------------------------------- what it says


def test_it_tells_the_whole_run(html, run):
    text = Seen(html).text
    for wanted in (
        "The arc",
        "How the tasks thawed",
        "Groups without a gradient",
        "Drift and entropy",
        "Time and money",
        "Tampering",
        "Samples",
        "The exact recipe",
        run.repository.commit,
        "climb.max_drift",
        "2.13.0",
        "3.11.7",
        "3.11.9",
        "undone (dotted): 3",
    ):
        assert wanted in text, wanted
    assert len(svgs(html)) == 6 and "Hard tasks" in text and "Soft tasks" in text
    tampered = sum(r["status"] == "tampered" for r in run.read("rollouts.jsonl"))
    assert f"{tampered} rollouts were caught" in text and tampered > 0
    assert text.count("before: ") == text.count("now: ") == 10
    assert "-    raise NotImplementedError" in text and "+    return a + b" in text


def test_samples_are_drawn_and_not_chosen_by_result(html, run):
    shown = re.findall(r"<h3>(blank-\S+) \(held out\)</h3>", html)
    assert sorted(shown) == sorted(t.instance_id for t in run.tasks if t.split == "heldout")


def test_it_is_the_same_again_and_needs_nothing_from_elsewhere(html, run):
    assert page(run, VERSIONS) == html
    seen = Seen(html)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(seen.tags)
    outside = [
        (tag, name, value)
        for tag, name, value in seen.attributes
        if name in ("src", "href", "xlink:href", "srcset", "data", "action")
        and not value.startswith(("#", "data:image/png;base64,"))
    ]
    assert outside == [] and not any(name.startswith("on") for _, name, _ in seen.attributes)
    assert "@import" not in html and not re.search(r"url\((?!#)", html)


def test_what_a_model_wrote_is_text(html):
    assert ATTACK not in html and ATTACK in Seen(html).text
    assert "broken out" in html


def test_every_chart_can_be_read_without_seeing_it(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)), "an id is there twice"
    for svg in svgs(html):
        assert 'role="img"' in svg and re.search(
            r"<title id=.*?>\S.*?</title>\s*<desc id=.*?>\S.*?</desc>", svg, flags=re.DOTALL
        )
        labelled = re.search(r'aria-labelledby="([^"]+)"', svg)[1].split()
        assert set(labelled) <= set(ids)
        ElementTree.fromstring(svg)
        assert set(re.findall(r"(?:#|url\(#)([\w-]+)", svg)) & set(ids) or "#" not in svg
        assert "<text" in svg and charts.INK not in svg and "var(--ink)" in svg
    assert html.count("<figure>") == 6 and html.count("<details><summary>the numbers") == 5


def test_a_run_that_has_only_been_probed_and_one_that_has_not(calc, tmp_path):
    early = page(write_run(tmp_path / "early", calc, upto="before"), VERSIONS)
    assert "The climb" not in early and "The arc" in early and len(svgs(early)) == 4
    with pytest.raises(UsageError, match="nothing to report yet"):
        page(write_run(tmp_path / "mined", calc, upto="mine"), VERSIONS)


@pytest.mark.slow
def test_without_the_snapshot_replies_are_shown_as_they_are(calc, tmp_path):
    run = write_run(tmp_path / "run", calc)
    run.content["repository"]["tree"] = "f" * 24
    text = Seen(page(run, VERSIONS)).text
    assert "NotImplementedError" not in text and ATTACK in text


@pytest.mark.slow
def test_the_command_writes_the_file_and_imports_no_torch(calc, tmp_path):
    write_run(tmp_path / "run", calc)
    poison = tmp_path / "poison"
    poison.mkdir()
    (poison / "torch.py").write_text("raise SystemExit('torch was imported')")
    done = run_cli(
        "report", "--run", "run", "--json", cwd=tmp_path, env={"PYTHONPATH": str(poison)}
    )
    assert json.loads(done.stdout)["report"] == "run/report.html"
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!DOCTYPE html>")


# ---------------------------------------------------------------------------- how Chromium shows it

OUTER = """<!DOCTYPE html><html><head><link rel="icon" href="data:,"></head><body>
<iframe id="f" style="width:{width}px;height:900px;border:0" src="/report.html"></iframe><script>
document.getElementById("f").onload = function () {{
  var d = this.contentDocument;
  d.querySelectorAll("details").forEach(function (e) {{ e.open = true; }});
  document.title = JSON.stringify({{width: d.documentElement.scrollWidth, title: d.title, charts: d.querySelectorAll("svg").length,
    scheme: this.contentWindow.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    paper: this.contentWindow.getComputedStyle(d.documentElement).backgroundColor,
    ink: this.contentWindow.getComputedStyle(d.querySelector("svg text")).fill}});
}};
</script></body></html>"""


THE_BROWSERS_OWN = re.compile(
    r"(clients2|accounts|www)\.google\.com|(update|optimizationguide-pa|content-autofill)\.googleapis\.com"
)
"""Hosts that the browser itself calls; nothing that a page could load is there."""


@pytest.fixture(scope="module")
def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed here")


def shown(
    chromium: str, html: str, width: int, folder: Path, *options: str
) -> tuple[dict, list[str], list[str]]:
    """The page in a frame of this width with everything opened: what it measures, all requests for
    anything else, all that the console says. Every request of the browser goes to a proxy of our
    own, so none is missed."""
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.removeprefix("http://page.test")
            body = {"/": OUTER.format(width=width), "/report.html": html}.get(path)
            if body is None:
                asked.append(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((body or "").encode())

        def do_CONNECT(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--disable-default-apps",
                f"--user-data-dir={folder}",
                f"--proxy-server=127.0.0.1:{server.server_port}",
                "--enable-logging=stderr",
                "--v=0",
                f"--window-size={max(width, 600)},900",
                "--virtual-time-budget=2000",
                *options,
                "--dump-dom",
                "http://page.test/",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        server.shutdown()
        server.server_close()
    told = re.search(r"<title>(.*?)</title>", done.stdout)
    assert told, done.stdout[:500] + done.stderr[-2000:]
    asked = [address for address in asked if not THE_BROWSERS_OWN.search(address)]
    return (
        json.loads(told[1].replace("&quot;", '"').replace("&amp;", "&")),
        asked,
        re.findall(r".*CONSOLE.*", done.stderr),
    )


@pytest.mark.parametrize(
    "width, scheme",
    [
        (360, "light"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((360, "dark"), (1440, "light"), (1440, "dark"))
        ),
    ],
)
def test_chromium_shows_it_whole_and_alone(chromium, html, run, width, scheme, tmp_path):
    repository = Path(run.repository.root).name
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    facts, asked, console = shown(chromium, html, width, tmp_path, *dark)
    assert facts["width"] <= width, "it is wider than its window"
    # Two arcs, hard and soft tasks apart; thaw, groups, health, costs.
    assert facts["charts"] == 6 and facts["title"] == f"coldstart: {repository}"
    assert asked == [] and console == []
    if facts["scheme"] != scheme:
        pytest.skip(f"this Chromium cannot be made to prefer {scheme}")
    assert facts["paper"] == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]
    assert facts["ink"] == {"light": "rgb(27, 31, 36)", "dark": "rgb(230, 234, 238)"}[scheme]


def test_chromium_would_notice(chromium, tmp_path):
    facts, asked, console = shown(
        chromium,
        '<!DOCTYPE html><title>x</title><div style="width:900px">a</div><svg><text>a</text></svg>'
        '<img src="http://elsewhere.test/a.png"><script>console.error("oh")</script>',
        360,
        tmp_path,
    )
    assert (
        facts["width"] >= 900
        and asked == ["http://elsewhere.test/a.png"]
        and any("oh" in line for line in console)
    )
