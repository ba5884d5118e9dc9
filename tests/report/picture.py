"""Makes the picture of the report in the README, from the demo. Usage: picture.py LAKE"""

import sys
from pathlib import Path

from browser import ROOT, started

PICTURE = ROOT / "docs/report.png"

with started() as browser:
    page = browser.new_context(viewport={"width": 1180, "height": 760}, color_scheme="light").new_page()
    page.goto((Path(sys.argv[1]).resolve() / "report/latest/index.html").as_uri())
    page.evaluate("async () => { await document.fonts.ready }")
    page.screenshot(path=PICTURE)
print(PICTURE)
