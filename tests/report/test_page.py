"""The report as people see it: in a browser, on a desktop and a phone, in the light and in the dark, and on paper."""

import re

import pytest
from browser import AXE, date_of
from gold import Gold

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
MOST_PAGES, MOST_BYTES = 8, 1_000_000

# What a page says, scope by scope: exact values in the order of the page.
READ = """() => [...document.querySelectorAll('[data-scope]')].map((scope) => {
  const values = (root) => [...root.querySelectorAll('[data-v]')].map((mark) => mark.dataset.v);
  const exact = (cell) => (cell.querySelector('[data-v]') || cell).dataset.v ?? null;
  const table = (id) => [...scope.querySelectorAll(`#t-${id}-${scope.dataset.scope} tbody tr`)].map((row) =>
    [row.querySelector('th').textContent, ...[...row.querySelectorAll('td:not([aria-hidden])')].map(exact)]);
  return {
    id: scope.dataset.scope,
    name: document.querySelector(`#s-${scope.dataset.scope}`).parentElement.textContent.trim(),
    tiles: [...scope.querySelectorAll('.tile .big')].map((big) => big.dataset.v ?? null),
    equation: values(scope.querySelector('.equation')),
    change: table('change'), ages: table('age'), days: table('days-1'), denials: table('denials'), volumes: table('speed'),
    collected: [...scope.querySelectorAll('.bullet .value')].map((value) => value.dataset.v ?? null),
  };
})"""


@pytest.fixture
def shown(browser, lake):
    """Opens the report, and tells afterwards what it asked for and what it complained of."""
    contexts = []

    def show(width=1280, scheme="light", script=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script, bypass_csp=False
        )
        contexts.append(context)
        page = context.new_page()
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto((lake / "report/latest/index.html").as_uri())
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_asks_for_nothing_complains_of_nothing_and_scrolls_down_alone(shown, width, scheme):
    page = shown(width, scheme)
    fonts = page.evaluate("async () => { await document.fonts.ready; return [...document.fonts].map((font) => font.status) }")
    assert fonts == ["loaded", "loaded"]
    assert [url for url in page.requested if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in page.requested) == 1
    assert page.complaints == []
    wide = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_readers_of_screens_and_people_who_see_little_can_use_it(shown, width, scheme):
    page = shown(width, scheme)
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    told = [(each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in found["violations"]]
    assert told == []


def test_without_script_it_says_the_same_and_the_hospital_can_be_chosen(shown):
    page, plain = shown(), shown(script=False)
    said = [each.locator("main").inner_text().replace("Copy\n", "").replace("Copy", "") for each in (page, plain)]
    assert re.sub(r"\s+", " ", said[0]) == re.sub(r"\s+", " ", said[1])
    scopes = plain.locator("[data-scope]").count()
    assert scopes >= 3
    assert [plain.locator("[data-scope]").nth(at).is_visible() for at in range(scopes)] == [True] + [False] * (scopes - 1)
    plain.locator("label:has(#s-h1)").click()
    assert [plain.locator("[data-scope]").nth(at).is_visible() for at in range(scopes)] == [False, True] + [False] * (scopes - 2)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_names_of_many_hospitals_have_room(shown, width):
    page = shown(width)
    lie_apart = page.evaluate("""() => {
      const choice = document.querySelector('.choice'), last = choice.querySelector('label:last-child');
      for (let more = 0; more < 10; more++) choice.append(last.cloneNode(true));
      const boxes = [...document.querySelectorAll('nav.what .choice label, nav.what .payer')].filter((box) => box.offsetParent)
        .map((box) => box.getBoundingClientRect());
      return boxes.every((one, at) => boxes.slice(at + 1).every((other) =>
        one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top));
    }""")
    assert lie_apart
    wide = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


def test_dark_and_light_are_chosen_without_script(shown):
    page = shown(script=False)
    ground = lambda: page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")  # noqa: E731
    light = ground()
    page.locator("label:has(#c-dark)").click()
    assert ground() != light


def test_every_figure_is_that_of_gold(shown, lake):
    gold, page = Gold(lake, date_of(lake)), shown()
    found = page.evaluate(READ)
    assert [scope["id"] for scope in found][0] == "all"
    checked = 0
    for scope in found:
        hospital = gold.hospital(scope)
        assert scope["tiles"] == gold.tiles(hospital)
        assert scope["equation"] == gold.equation(hospital)
        last = scope["change"][-1]
        assert (last[1], last[3]) == gold.change(hospital)
        assert {name: values for name, *values in scope["ages"]} == gold.ages(hospital)
        assert scope["days"][0][1:] == gold.days(hospital)
        for name, *values in scope["days"][1:]:
            assert values == gold.days(gold.hospitals.get(name, name)), name
        assert scope["collected"] == gold.collected(hospital)
        rates = {name: values[2] for name, *values in scope["denials"]}
        assert {payer: rates[payer] for payer in gold.denials(hospital)} == gold.denials(hospital)
        assert {name: (values[1], values[3]) for name, *values in scope["volumes"]} == gold.volumes(hospital)
        checked += len(scope["ages"]) + len(scope["volumes"])
    assert checked > 20
    everything = page.evaluate("() => document.querySelectorAll('[data-v]').length")
    assert everything > 200


def test_it_prints_on_a_few_sheets(shown):
    page = shown()
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True, print_background=True)))
    assert 2 <= sheets <= MOST_PAGES


def test_a_page_is_small_enough_for_a_mail(lake):
    page = (lake / "report/latest/index.html").read_bytes()
    assert len(page) < MOST_BYTES
    assert page == (lake / "report" / date_of(lake) / "index.html").read_bytes()
