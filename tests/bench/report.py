"""Measures the report of a group of twelve hospitals beside the KPIs that it is made of.

Usage: report.py RCM ROWS WORK. All hospitals together have ROWS transactions, and half as many claims.
"""

import shutil
import sys
from pathlib import Path

from bench import BASE_DAY, HOSPITALS, ROWS, WORK, Table, configured, generated, run

GROUPS = 6
# What is asked of the report: its share of the time of the KPIs, and the bytes of its page.
MOST_SHARE, MOST_BYTES = 0.1, 1_000_000


def hospital(lake: Path, sources: Path, group: int, model: str) -> None:
    """Makes another hospital of one that was generated: its mapping, its lines of load_config.csv, and its files."""
    number = 2 * group + HOSPITALS.index(model) + 1
    name, prefix, old_prefix = f"hos-{number:02}", f"hospital{number:02}", f"hospital{HOSPITALS.index(model) + 1}"
    mapping = (lake / f"configs/cdm/{model}.toml").read_text()
    mapping = mapping.replace(f'datasource = "{model}"', f'datasource = "{name}"').replace(f'"{old_prefix}_*"', f'"{prefix}_*"')
    (lake / f"configs/cdm/{name}.toml").write_text(mapping)
    load_config = lake / "configs/emr/load_config.csv"
    [line] = [line for line in load_config.read_text().splitlines() if line.split(",")[1] == model]
    database, _, table, kind, watermark, active, _ = line.split(",")
    with load_config.open("a") as lines:
        lines.write(",".join([f"{database}{number}", name, table, kind, watermark, active, name.replace("-", "")]) + "\n")
    data = WORK / "group/base"
    (sources / "emr" / name).mkdir(parents=True)
    (data / "emr" / model / "transactions.csv").rename(sources / "emr" / name / "transactions.csv")
    (sources / "landing/claims").mkdir(parents=True, exist_ok=True)
    (data / f"landing/claims/{old_prefix}_claims_base.csv").rename(sources / f"landing/claims/{prefix}_claims_base.csv")


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    lake, sources = configured(WORK / "lake", ["transactions"]), WORK / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    for group in range(GROUPS):
        generated(WORK / "group", ROWS // GROUPS, seed=group)
        for model in HOSPITALS:
            hospital(lake, sources, group, model)
        shutil.rmtree(WORK / "group")
    without_models(lake)
    found = run(lake, sources / "emr", BASE_DAY, sources / "landing")
    kpis, report = found.of("gold-kpis"), found.of("gold-report")
    table = Table()
    table.add("gold-kpis, twelve hospitals", kpis, kpis, "itself")
    table.add("gold-report", report, kpis, "gold-kpis")
    page = (lake / "report/latest/index.html").stat().st_size
    print(f"the page has {page:,} bytes; memory and bytes above are those of the whole run")
    shutil.rmtree(WORK / "lake")
    shutil.rmtree(sources)
    if report.seconds > MOST_SHARE * kpis.seconds or page > MOST_BYTES:
        sys.exit(f"more than {MOST_SHARE:.0%} of the KPIs' time, or than {MOST_BYTES:,} bytes")


def without_models(lake: Path) -> None:
    """Leaves the twelve hospitals in the configuration."""
    load_config = lake / "configs/emr/load_config.csv"
    lines = [line for line in load_config.read_text().splitlines() if line.split(",")[1] not in HOSPITALS]
    load_config.write_text("\n".join(lines) + "\n")
    for model in HOSPITALS:
        (lake / f"configs/cdm/{model}.toml").unlink()


if __name__ == "__main__":
    main()
