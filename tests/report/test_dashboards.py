"""The bundle for Superset: its files fit together, and what its charts ask gold for are the figures of the report.

Superset itself is not here: it takes 900 MB. Nothing below shows that it draws the charts.
"""

from uuid import UUID

import duckdb
import pytest
import superset
from browser import date_of
from deltalake import DeltaTable
from gold import BUCKETS, Gold, money

# What Superset 6.1 requires of each file of its import, and the kind of file that a reference is to.
REQUIRED = {
    "databases": {"database_name", "sqlalchemy_uri", "uuid", "version"},
    "datasets": {"table_name", "uuid", "version", "database_uuid"},
    "charts": {"slice_name", "viz_type", "params", "uuid", "version", "dataset_uuid"},
    "dashboards": {"dashboard_title", "position", "metadata", "uuid", "version"},
}
REFERENCES = {"database_uuid": "databases", "dataset_uuid": "datasets"}


def test_the_files_of_the_bundle_refer_to_one_another():
    files = {kind: superset.read(kind) for kind in REQUIRED}
    uuids = {kind: {str(UUID(file["uuid"])) for file in of_kind} for kind, of_kind in files.items()}
    assert len(set().union(*uuids.values())) == sum(map(len, files.values())), "an uuid is there twice"
    for kind, of_kind in files.items():
        for file in of_kind:
            assert REQUIRED[kind] <= file.keys() and file["version"] == "1.0.0", file["uuid"]
            for field, other in REFERENCES.items():
                assert file.get(field) is None or file[field] in uuids[other], (kind, file["uuid"], field)
    [dashboard] = files["dashboards"]
    position = dashboard["position"]
    shown = [node["meta"] for node in position.values() if isinstance(node, dict) and node["type"] == "CHART"]
    assert {(meta["uuid"], meta["sliceName"]) for meta in shown} == {
        (chart["uuid"], chart["slice_name"]) for chart in files["charts"]
    }
    for node in (node for node in position.values() if isinstance(node, dict)):
        assert all(position[child]["id"] == child for child in node.get("children", []))
    widths = [sum(position[chart]["meta"]["width"] for chart in position[row]["children"]) for row in position["GRID_ID"]["children"]]
    assert set(widths) == {12}
    for chosen in dashboard["metadata"]["native_filter_configuration"]:
        for target in chosen["targets"]:
            assert target["datasetUuid"] in uuids["datasets"]
    assert (superset.BUNDLE / "metadata.yaml").read_text().startswith("version: 1.0.0\ntype: Dashboard\n")


def test_no_file_has_a_password_or_a_key():
    for database in superset.read("databases"):
        assert "password" not in database and database["sqlalchemy_uri"].startswith("awsathena+rest://@athena.")


@pytest.fixture(scope="module")
def gold(demo) -> Gold:
    return Gold(demo, date_of(demo))


@pytest.fixture(scope="module")
def db(demo):
    """The demo's KPI tables, with all dates that they keep."""
    db = duckdb.connect()
    for table in (demo / "gold").glob("kpi_*/_delta_log"):
        db.register(table.parent.name, DeltaTable(table.parent).to_pyarrow_table())
    return db


def test_every_column_of_a_dataset_is_one_of_its_query(db):
    for dataset in superset.datasets().values():
        found = db.execute(f"select * from ({dataset['sql']}) as dataset limit 0").description
        named = {column["column_name"] for column in dataset["columns"]}
        assert named <= {column[0] for column in found}, dataset["table_name"]
        for chart in superset.charts().values():
            if chart["dataset_uuid"] == dataset["uuid"]:
                params, metrics = chart["params"], {metric["metric_name"] for metric in dataset["metrics"]}
                assert set(superset.columns_of(params)) <= named, chart["slice_name"]
                sorted_by = {params["timeseries_limit_metric"]} if "timeseries_limit_metric" in params else set()
                assert set(superset.metrics_of(params)) | sorted_by <= metrics, chart["slice_name"]


def rate(value) -> str | None:
    return None if value is None else f"{value:.6f}"


def is_tile(place: int, text):
    """A figure of the report, by its place among the five."""

    def check(gold, rows):
        [[value]] = rows
        assert text(value) == gold.tiles(None)[place]

    return check


def receivables_by_payer(gold, rows):
    now = [balance for end, _, balance in rows if end == gold.ends()[-1]]
    assert money(sum(now)) == gold.equation(None)[-1]


def days_by_hospital(gold, rows):
    found = {(end, hospital): days for end, hospital, days in rows}
    for hospital in {hospital for _, hospital in found}:
        days = [found.get((end, hospital)) for end in (gold.ends()[0], gold.ends()[-4], gold.ends()[-1])]
        assert [None if value is None else f"{value:.4f}" for value in days] == gold.days(hospital)[:3]


def what_changed(gold, rows):
    sums = {end: of_end for end, *of_end in rows}
    since = [sums[end] for end in gold.ends()[-3:]]
    billed, paid = sum(row[1] for row in since), sum(row[2] for row in since)
    assert [money(value) for value in (since[0][0], billed, paid, since[-1][3])] == gold.equation(None)


def ages(gold, rows):
    found = {(gold.payer(payer), bucket): money(balance) for payer, bucket, balance in rows}
    for payer, sums in gold.ages(None).items():
        if payer != "All payers":
            assert [found.get((payer, bucket), "0.00") for bucket in BUCKETS] == sums[:5], payer


def collection(gold, rows):
    assert [rate(within) for _, within, _ in sorted(rows)] == gold.collected(None)


def denials(gold, rows):
    """Also of few claims, of which the report shows no rate."""
    of_gold = gold.rows("select claim_month, payor_type, sum(denied), sum(claims) from kpi_claims where $hospital group by all", None)
    expected = {(month, payer): rate(denied / claims) for month, payer, denied, claims in of_gold if month <= gold.last_month()}
    assert len(expected) > 10 and {(month, payer): rate(denied) for month, payer, denied in rows} == expected


def billed(gold, rows):
    for month, (amount, _) in gold.volumes(None).items():
        assert money(sum(of_payer for of, _, of_payer in rows if of.strftime("%b %y") == month)) == amount


def waits(gold, rows):
    of_gold = DeltaTable(gold.lake / "gold/kpi_days_to_payment").to_pyarrow_table().to_pylist()
    columns = superset.columns_of(superset.charts()["Days to payment"]["params"])
    assert len(rows) > 10 and set(rows) == {tuple(row[column] for column in columns) for row in of_gold}


def providers(gold, rows):
    amount, paid = gold.one("select sum(amount), sum(paid_amount) from kpi_payer_mix", None)
    assert (money(sum(row[3] for row in rows)), money(sum(row[4] for row in rows))) == (money(amount), money(paid))


CHECKS = {
    "Receivables": is_tile(0, money),
    "Days in receivables": is_tile(1, lambda days: f"{days:.4f}"),
    "Older than 90 days": is_tile(2, rate),
    "Collected in 90 days": is_tile(3, rate),
    "Claims denied": is_tile(4, rate),
    "Receivables by payer": receivables_by_payer,
    "Days in receivables by hospital": days_by_hospital,
    "What changed": what_changed,
    "Age of the balance": ages,
    "Collection": collection,
    "Denials by payer": denials,
    "Billed by payer": billed,
    "Days to payment": waits,
    "Providers and departments": providers,
}


@pytest.mark.parametrize("chart", superset.charts())
def test_what_a_chart_shows_is_what_gold_says(gold, db, chart):
    CHECKS[chart](gold, db.execute(superset.sql_of(superset.charts()[chart])).fetchall())
