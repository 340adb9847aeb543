"""The page and the drawings of `decant report`, in Debian's Chromium and Graphviz."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
from browser import Browser
from safetensors.numpy import save_file

CHECKS = (Path(__file__).parent / "page_checks.js").read_text()
# A phone, a tablet, a desk; each colour scheme at the ends.
WINDOWS = [(360, "light"), (360, "dark"), (768, "light"), (1440, "light"), (1440, "dark")]

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def resnet50(decant, tmp_path_factory) -> Path:
    """A report on a ResNet-50 of 1000 classes."""
    folder = tmp_path_factory.mktemp("report")
    decant("synthesize", "resnet50", "--seed", 5, "-o", folder / "resnet50.pth")
    decant("report", folder / "resnet50.pth", "-o", folder / "resnet50.html")
    return folder / "resnet50.html"


def hostile(folder: Path) -> Path:
    """A file whose names try to be markup, to turn the direction of text, and to be wider than any page."""
    names = ["<script>document.title = 'owned'</script>", "\"><img src=x onerror=\"document.title = 'owned'\">",
             "</style></table>", "a\u202eb", "very_long_" * 60, "' onclick='x", "&lt;b&gt;"]  # fmt: skip
    arrays = {name: numpy.array([numpy.nan, 1, -2, numpy.inf], numpy.float32) for name in names}
    save_file(arrays, folder / "<b onload=x>.safetensors", metadata={"<i>": "<u>\u2066"})
    return folder / "<b onload=x>.safetensors"


@pytest.fixture(scope="module")
def pages(decant, resnet50, tmp_path_factory, fixtures) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    torch = fixtures / "torch"
    golden = fixtures / "goldens" / "small_basic.safetensors"
    arguments = {
        "hostile": [hostile(folder)],
        "two": [torch / "small_basic.pth", torch / "small_nodown.pth"],
        "three": [torch / "small_basic.pth", torch / "views.pth", torch / "non_finite.pth"],
        "forward": [torch / "small_basic.pth", "--input", golden, "--input-key", "input", "--compare", golden],
        "dangerous": [fixtures / "pickles" / "hand-os-system.pkl"],
        "whole": [torch / "whole_nodown.pth"],
    }
    for name, words in arguments.items():
        decant("report", *words, "-o", folder / f"{name}.html")
    return {"resnet50": resnet50} | {name: folder / f"{name}.html" for name in arguments}


NAMES = ["resnet50", "hostile", "two", "three", "forward", "dangerous", "whole"]


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
@pytest.mark.parametrize("name", NAMES)
def test_pages_are_sound(browser, pages, name, width, scheme):
    browser.resize(width)
    browser.prefer(scheme)
    browser.open(pages[name])
    found = browser.evaluate(CHECKS)
    assert found["faults"] == []
    assert browser.complaints() == []


@pytest.mark.parametrize("name", NAMES)
def test_pages_need_no_script(browser, pages, name):
    """Everything but sorting and filtering is there, and nothing that would need the script."""
    browser.allow_scripts(False)
    try:
        browser.resize(768)
        browser.prefer("light")
        browser.open(pages[name])
        found = browser.evaluate(CHECKS)
        assert found["faults"] == []
        assert browser.evaluate("document.querySelectorAll('th button').length") == 0
        assert browser.evaluate(
            "[...document.querySelectorAll('.controls')].every(controls => !controls.checkVisibility())")
        assert browser.complaints() == []
    finally:
        browser.allow_scripts(True)


def test_names_stay_text(browser, pages):
    browser.open(pages["hostile"])
    assert browser.evaluate("document.title") == "<b onload=x>.safetensors – checkpoint report"
    assert browser.evaluate("document.querySelectorAll('img, b, i, u').length") == 0
    assert browser.evaluate("document.querySelectorAll('script').length") == 1
    assert browser.evaluate("document.body.innerText.includes('a\\\\u{202e}b')")
    assert not browser.evaluate(r"/[\u202a-\u202e\u2066-\u2069]/.test(document.documentElement.outerHTML)")


def test_tables_sort_and_filter(browser, resnet50):
    browser.resize(1440)
    browser.prefer("light")
    browser.open(resnet50)
    rows = "[...document.querySelectorAll('#tensors ~ * tbody tr, section:has(#tensors) tbody tr')]"
    first = f"{rows}[0].cells[0].textContent"
    assert browser.evaluate(first) == "model.conv1.weight"
    button = "[...document.querySelectorAll('th button')].find(button => button.textContent === 'Bytes')"

    # With the keyboard: a button has the focus, Enter presses it.
    browser.evaluate(f"{button}.focus()")
    browser.press("Enter", 13)
    assert browser.evaluate(f"{button}.closest('th').getAttribute('aria-sort')") == "descending"
    values = browser.evaluate(f"{rows}.map(row => Number(row.cells[3].dataset.v))")
    assert values == sorted(values, reverse=True) and len(values) == 320
    browser.press("Enter", 13)
    values = browser.evaluate(f"{rows}.map(row => Number(row.cells[3].dataset.v))")
    assert values == sorted(values)
    browser.press("Enter", 13)
    assert browser.evaluate(first) == "model.conv1.weight"
    assert browser.evaluate("document.querySelectorAll('[aria-sort]').length") == 0

    # Names sort as people count.
    names = "[...document.querySelectorAll('th button')].find(button => button.textContent === 'Name')"
    browser.evaluate(f"{names}.click()")
    assert browser.evaluate(first) == "model.bn1.bias"

    browser.evaluate("document.querySelector('input[type=search]').focus()")
    browser.insert("LAYER3 conv2")
    assert browser.evaluate("document.querySelector('output').textContent") == "6 of 320"
    assert browser.evaluate(f"{rows}.filter(row => row.checkVisibility()).length") == 6
    assert browser.complaints() == []


def test_the_keyboard_reaches_everything(browser, resnet50):
    browser.resize(1440)
    browser.open(resnet50)
    reached = []
    for _ in range(60):
        browser.press("Tab", 9)
        reached.append(browser.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    assert reached[0].startswith('<a class="skip"')
    assert any("<input" in element for element in reached)
    assert len({element for element in reached if "<button" in element}) == 9
    assert browser.evaluate(
        "(() => { document.querySelector('.skip').focus(); return document.querySelector('.skip').getBoundingClientRect().left >= 0 })()")


def test_paper(browser, resnet50):
    """On paper the page is light, without controls, and nothing is cut off."""
    browser.prefer("dark", media="print")
    try:
        browser.resize(720)
        browser.open(resnet50)
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not browser.evaluate("document.querySelector('nav').checkVisibility()")
        assert not browser.evaluate("document.querySelector('.controls').checkVisibility()")
        assert browser.pdf().startswith(b"%PDF")
    finally:
        browser.prefer("light")


def test_size(resnet50):
    assert resnet50.stat().st_size < 1_000_000


def test_what_the_eye_sees(browser, resnet50):
    """The widths of the drawing are those of the channels: layer1 reduces 256 to 64, layer4 2048 to 512."""
    browser.resize(1440)
    browser.open(resnet50)
    bars = browser.evaluate(
        "[...document.querySelectorAll('.panels svg')].map(svg => [...svg.querySelectorAll('.d-bar')]"
        ".map(bar => Number(bar.getAttribute('width'))))")
    scale = max(map(max, bars)) / 2048
    assert [round(width / scale) for width in bars[1][-4:]] == pytest.approx([256, 64, 64, 256], abs=1)
    assert [round(width / scale) for width in bars[4][-4:]] == pytest.approx([2048, 512, 512, 2048], abs=1)
    boxes = browser.evaluate("[...document.querySelectorAll('.panels svg')].map(svg => svg.querySelectorAll('.d-box').length)")
    assert boxes == [0, 1, 1, 1, 1, 0]


# The drawing alone


def test_svg(browser, decant, resnet50, tmp_path):
    source = resnet50.with_suffix(".pth")
    decant("report", source, "-o", tmp_path / "drawing.svg")
    decant("report", source, "-o", tmp_path / "again.svg")
    assert (tmp_path / "drawing.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(tmp_path / "drawing.svg")
        assert browser.complaints() == []
        # Texts stay inside of the drawing, and do not lie on each other.
        faults = browser.evaluate("""(() => {
          const box = document.documentElement.getBoundingClientRect();
          const texts = [...document.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
          const outside = texts.filter(([, own]) => own.right > box.right || own.left < box.left).map(([text]) => text);
          const over = texts.flatMap(([one, a], index) => texts.slice(index + 1)
            .filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 3 < b.bottom - 3 && b.top + 3 < a.bottom - 3)
            .map(([two]) => one + ' / ' + two));
          return [...outside, ...over];
        })()""")  # fmt: skip
        assert faults == []


ARCHITECTURES = ["resnet18", "resnet50", "resnext50_32x4d", "resnet50d", "seresnet50", "resnet50nodown", "resnet20"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request, decant, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("network") / f'{request.param} "x" \\ <b>.pth'
    if decant.attempt("synthesize", request.param, "-o", path).status != 0:
        pytest.skip(f"{request.param} is not synthesised")
    return path


def test_graphviz_reads_the_drawing(decant, network):
    text = decant("report", network, "--format", "dot").output
    assert text == decant("report", network, "--format", "dot").output
    done = subprocess.run(["dot", "-Tplain"], input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
    plain = done.stdout.decode()
    assert len(re.findall(r"^node ", plain, re.M)) == len(re.findall(r"^ +n\d+ \[", text, re.M))
    assert len(re.findall(r"^edge ", plain, re.M)) == len(re.findall(r"->", text))


def test_mermaid_is_well_formed(decant, network):
    """Mermaid's own parser needs Node.js; these are the rules of its grammar that a drawing uses."""
    lines = decant("report", network, "--format", "mermaid").output.splitlines()
    assert lines[0].startswith("%% ") and lines[1] == "flowchart TB"
    label = r'"(?:[^"#]|#(?:\d+|quot|amp|lt|gt);)*"'
    nodes, depth = set(), 0
    for line in lines[2:]:
        line = line.strip()
        if match := re.fullmatch(rf"(n\d+)(?:\[{label}\]|\(\({label}\)\))", line):
            nodes.add(match[1])
        elif re.fullmatch(rf"subgraph g\d+\[{label}\]", line):
            depth += 1
        elif line == "end":
            depth -= 1
        else:
            match = re.fullmatch(rf"(n\d+) (?:-->|-\.->|==>)(?:\|{label}\|)? (n\d+)", line)
            assert match and {match[1], match[2]} <= nodes, line
        assert depth in (0, 1)
    assert depth == 0 and len(nodes) > 10
