"""The page in a real browser: what plugins slip in stays text, filter, sort and keys work, everybody can read it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import readings, record, timed
from harness.reports.page import page
from harness.reports.page_trial import chromium, made_up
from harness.reports.report import Report
from test_reports import CLEAR, report

CHROMIUM = chromium()
pytest.importorskip("playwright", reason="playwright is an extra: pip install 'kernel-harness[browser]'")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "</style><script>document.title='owned'</script>",
    "\"><svg onload=document.title='owned'>",
    "' onmouseover='document.title=1' autofocus onfocus='document.title=2",
    "</textarea></title><iframe src=https://evil.example/></iframe>",
    "javascript:document.title='owned'",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.elif\u202c \u2066\x00\x1b[31m\r\n\u2028",
    "&lt;b&gt;&#60;script&#62;",
    "]]><!--<script>--><base href=https://evil.example/><link rel=stylesheet href=https://evil.example/x.css>",
    "url(https://evil.example/x.png) @import 'https://evil.example/x.css'",
)
DESCRIPTIONS = {
    "softmax": "Normierte Exponentialfunktion über eine Achse: die Wahrscheinlichkeitsverteilungsnormierungskonstante "
    "ist die Summe aller Exponentialfunktionswerte der Eingabe und wird für jede Zeile berechnet.",
    "sum": "La somme de tous les éléments sur un axe est calculée avec un arbre déclaré par chaque implémentation.",
    "dot": "沿最后一个轴计算两个向量的内积。累加顺序由实现声明。误差界由该顺序推导得出。空向量的结果为零。" * 2,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        opened = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class View:
    """A page that is open, and what it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, text: str, at: str = "", **options: Any) -> None:
        path.write_text(text, encoding="utf-8")
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}") or dialog.dismiss())
        self.uri = path.as_uri()
        self.page.goto(self.uri + at, wait_until="load")

    def rows(self) -> list[list[str]]:
        return self.page.evaluate(
            "[...document.querySelectorAll('#rows tbody tr')].map(r => [...r.cells].map(c => c.textContent.trim()))"
        )

    def shown(self) -> str:
        return self.page.locator("#shown").inner_text()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def hostile_report() -> Report:
    """Everything that a plugin, a branch or a file names holds something that a browser might obey."""
    checked = []
    clocked = []
    for number, evil in enumerate(HOSTILE):
        names = {"operator": evil, "backend": evil, "implementation": evil, "case": evil, "dtype": evil}
        checked += [record(**names, status="failed", reason=evil), record(**{**names, "case": f"{evil}{number}"})]
        checked.append(record(**{**names, "case": f"{evil} known"}, status="failed", reason=evil, known=evil))
        checked += [record(**{**names, "case": f"{evil}{n} no"}, status="missing", reason=evil) for n in range(3)]
        clocked.append(
            timed(evil, 1000 + number, launches=1, host_round_trips=1, operator=evil, backend=evil, case=evil)
        )
    samples = [
        one for evil in HOSTILE for one in readings(evil, [1000, 1001, 1002], operator=evil, backend=evil, case=evil)
    ]
    admission = {evil: {"mutants": 2, "killed": 1, "survivors": [evil], "specification": evil} for evil in HOSTILE}
    made = report(checked, clocked, samples, admission=admission, notes=HOSTILE, selectors=HOSTILE, run_id=HOSTILE[0],
                  commit=HOSTILE[1], command=HOSTILE[2], machine_id=HOSTILE[3], started_at=HOSTILE[4])  # fmt: skip
    machine = {"cpu": HOSTILE[1], "cores_usable": HOSTILE[3], "environment": dict(zip(HOSTILE, HOSTILE, strict=True))}
    return dataclasses.replace(made, machine=machine)


def test_what_a_plugin_slips_in_runs_no_script_and_asks_for_nothing(browser: Any, tmp_path: Path) -> None:
    text = page(hostile_report())
    with View(browser, tmp_path / "hostile.html", text) as view:
        view.page.wait_for_selector("html.ready")
        for summary in view.page.locator("summary").all()[:40]:
            summary.evaluate("one => one.click()")
        view.page.locator("#q").fill("script")
        assert view.rows() and len(view.requests) == 1, view.requests
        assert view.errors == []
        assert "owned" not in view.page.evaluate("document.title").split(":")[0]
        assert view.page.evaluate("document.scripts.length") == 1
        assert view.page.evaluate("document.querySelectorAll('iframe, img, base, link, object, embed').length") == 0
        handlers = (
            "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => /^on|^style$/.test(n))"
        )
        assert view.page.evaluate(handlers) == []
        links = view.page.evaluate("[...document.links].map(one => one.getAttribute('href'))")
        assert all(link.startswith("#") for link in links)


def test_the_policy_stops_a_script_that_got_in_all_the_same(browser: Any, tmp_path: Path) -> None:
    text = page(CLEAR).replace(
        "<main", "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><main"
    )
    with View(browser, tmp_path / "pierced.html", text) as view:
        assert "owned" not in view.page.title()
        assert any("Content Security Policy" in one for one in view.errors)
        assert view.page.evaluate("document.documentElement.classList.contains('ready')"), "its own script still runs"


LARGE = made_up(600)


def test_search_filters_and_paging(browser: Any, tmp_path: Path) -> None:
    with View(browser, tmp_path / "large.html", page(LARGE)) as view:
        assert len(view.rows()) == 100 and view.shown() == "Rows 1 to 100 of 600"
        view.page.keyboard.press("]")
        assert view.shown().startswith("Rows 101 to 200")
        view.page.keyboard.press("/")
        view.page.keyboard.type("softmax float16 -log_softmax")
        wanted = [one for one in LARGE.records if one.operator == "softmax" and "float16" in one.id]
        got = view.rows()
        assert {(row[1], row[2], row[4]) for row in got} == {(o.backend, o.implementation, o.case) for o in wanted}
        assert view.shown() == f"Rows 1 to {len(wanted)} of {len(wanted)}, of 600 in all"
        view.page.keyboard.press("Escape")
        assert view.shown() == "Rows 1 to 100 of 600" and view.page.locator("#q").input_value() == ""
        view.page.select_option("select[data-name=status]", "failed")
        failed = [one for one in LARGE.records if one.status == "failed"]
        assert failed and len(view.rows()) == len(failed)
        view.page.select_option("select[data-name=backend]", "numpy")
        assert {row[1] for row in view.rows()} == {"numpy"}
        view.page.locator("#clear").click()
        view.page.locator("#q").fill("pip install")
        missing = [one for one in LARGE.records if "pip install" in one.reason]
        assert f"of {len(missing)}, of 600" in view.shown(), "a reason that is told once is found in every row"
        view.page.locator("#q").fill("no such thing")
        assert view.shown() == "None of 600 rows"
        assert view.errors == []


def test_headings_sort_with_the_keyboard_and_say_so(browser: Any, tmp_path: Path) -> None:
    with View(browser, tmp_path / "sorted.html", page(LARGE)) as view:
        heading = view.page.locator("#rows thead th").nth(7)
        heading.locator("button").focus()
        view.page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "ascending"
        medians = sorted(one.median_ns for one in LARGE.records if one.median_ns)
        times = "[...document.querySelectorAll('#rows tbody tr')].map(r => parseFloat(r.cells[7].dataset.v))"
        assert view.page.evaluate(times)[:20] == medians[:20]
        view.page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert view.page.evaluate(times)[:20] == medians[::-1][:20]
        assert view.page.locator("#rows [aria-sort]").count() == 1
        small = view.page.locator("#ranking table").first
        ratio = small.locator("thead th").nth(6)
        ratio.locator("button").click()
        ratio.locator("button").click()
        values = [float(one) for one in small.locator("tbody tr td:nth-child(7)").all_inner_texts() if one != "-"]
        assert values == sorted(values, reverse=True) and len(values) > 3


def test_the_address_keeps_what_is_set_and_brings_it_back(browser: Any, tmp_path: Path) -> None:
    few = made_up(120, operators=4)
    with View(browser, tmp_path / "kept.html", page(few)) as view:
        view.page.locator("#q").fill("float32")
        view.page.select_option("select[data-name=operator]", "sum")
        view.page.locator("#rows thead button").nth(6).click()
        before, at = view.rows(), view.page.evaluate("location.hash")
        assert "q=float32" in at and "operator=sum" in at and "sort=" in at
    with View(browser, tmp_path / "kept.html", page(few), at) as again:
        assert again.rows() == before
        assert again.page.locator("#rows thead th").nth(6).get_attribute("aria-sort") == "ascending"
    for odd in (
        "#q=%3Cscript%3E&operator=" + quote("<img src=x onerror=alert(1)>"),
        "#sort=-no&page=x",
        "#page=-7",
        "#=&&=",
    ):
        with View(browser, tmp_path / "kept.html", page(few), odd) as strange:
            assert strange.errors == [] and strange.shown()


def test_without_javascript_nothing_is_missing(browser: Any, tmp_path: Path) -> None:
    with View(browser, tmp_path / "plain.html", page(LARGE), java_script_enabled=False) as view:
        assert view.page.locator("#rows tbody tr").count() == 600
        assert view.page.locator("#rows tbody tr").last.is_visible()
        assert not view.page.locator(".tools").is_visible(), "no control that does nothing"
        assert view.page.locator("#rows code", has_text="--seed 1").count() == 600
        summary = view.page.locator("#ranking th details summary").first
        summary.click()
        assert view.page.locator("#ranking th details code").first.is_visible()


def accessible(view: View) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(view.page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {json.dumps(one['nodes'][0]['html'])[:300]}" for one in serious]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, tmp_path: Path, scheme: str) -> None:
    admission = {
        name: {"mutants": 3, "killed": 3, "survivors": [], "specification": text} for name, text in DESCRIPTIONS.items()
    }
    few = made_up(50, operators=1)
    large = dataclasses.replace(few, run={**few.run, "admission": admission})
    # axe looks into a page through a script of its own, which the page's policy would stop
    with View(browser, tmp_path / "axe.html", page(large), color_scheme=scheme, bypass_csp=True) as view:
        assert accessible(view) == []
        view.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        view.page.evaluate(
            "document.querySelectorAll('article').forEach(one => { one.style.contentVisibility = 'visible'; })"
        )
        assert accessible(view) == []
        view.page.set_content("<title>x</title><main><img src=x><p>so axe does look</main>")
        assert any(one.startswith("image-alt") for one in accessible(view))


@pytest.mark.parametrize("media", ["screen", "print"])
def test_no_text_touches_a_coloured_cell(browser: Any, tmp_path: Path, media: str) -> None:
    with View(browser, tmp_path / "colours.html", page(LARGE)) as view:
        view.page.emulate_media(media=media)
        beside = "'td.bad + td, td.unsure + td, td:has(+ td.bad), td:has(+ td.unsure), td.bad, td.unsure'"
        sides = f"""[...document.querySelectorAll({beside})].filter(one => one.textContent.trim())
            .map(one => [getComputedStyle(one).paddingLeft, getComputedStyle(one).paddingRight].map(parseFloat))"""
        found = view.page.evaluate(sides)
        assert len(found) > 20 and min(min(one) for one in found) >= 3, min(found)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_sideways(browser: Any, tmp_path: Path, width: int) -> None:
    admission = {
        name: {"mutants": 3, "killed": 3, "survivors": [], "specification": text} for name, text in DESCRIPTIONS.items()
    }
    long = record(
        implementation="a" * 200,
        case="float32[" + "1x" * 90 + "1]",
        status="failed",
        reason="没有空格的很长的原因" * 30,
    )
    large = made_up(300)
    made = Report(
        {**large.run, "admission": admission}, large.machine, (*large.checked, long), large.timed, large.samples
    )
    with View(browser, tmp_path / "wide.html", page(made), viewport={"width": width, "height": 800}) as view:
        view.page.evaluate(
            "document.querySelectorAll('article').forEach(one => { one.style.contentVisibility = 'visible'; })"
        )
        view.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert view.page.evaluate("document.documentElement.scrollWidth") <= width
        tags = view.page.evaluate("[...document.querySelectorAll('.about')].map(one => one.lang)")
        assert set(tags) == {"de", "fr", "zh"}
