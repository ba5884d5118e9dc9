"""Makes the pictures of the report in the documents, from the demo. Usage: picture.py LAKE"""

import sys
from pathlib import Path

from browser import ROOT, started

# Name, width and height of the window, colours, and the part that is shown: all of the window where none is named.
PICTURES = [
    ("report.png", 1180, 760, "light", None),
    ("report-changed.png", 1180, 760, "light", "section[aria-labelledby=change-all]"),
    ("report-phone.png", 390, 844, "dark", None),
]

with started() as browser:
    for name, width, height, scheme, part in PICTURES:
        page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
        page.goto((Path(sys.argv[1]).resolve() / "report/latest/index.html").as_uri())
        page.evaluate("async () => { await document.fonts.ready }")
        shown = page.locator(part) if part else page
        shown.screenshot(path=ROOT / "docs" / name)
        print(ROOT / "docs" / name)
