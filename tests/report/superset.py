"""The bundle of dashboards for Superset: what is in its files, and the SQL of its charts."""

from pathlib import Path

import yaml

BUNDLE = Path(__file__).resolve().parents[2] / "dashboards/superset"


def read(kind: str) -> list[dict]:
    """The files of a kind: `databases`, `datasets`, `charts` or `dashboards`."""
    return [yaml.safe_load(file.read_text()) for file in sorted((BUNDLE / kind).rglob("*.yaml"))]


def datasets() -> dict[str, dict]:
    return {dataset["uuid"]: dataset for dataset in read("datasets")}


def charts() -> dict[str, dict]:
    return {chart["slice_name"]: chart for chart in read("charts")}


def columns_of(params: dict) -> list[str]:
    """Columns by which a chart groups, or that it shows as they are."""
    if params.get("query_mode") == "raw":
        return params["all_columns"]
    x_axis = [params["x_axis"]] if "x_axis" in params else []
    return x_axis + params.get("groupby", []) + params.get("groupbyRows", []) + params.get("groupbyColumns", [])


def metrics_of(params: dict) -> list[str]:
    return [params["metric"]] if "metric" in params else params.get("metrics", [])


def filters_of(params: dict) -> list[str]:
    return [each["sqlExpression"] for each in params["adhoc_filters"]]


def sql_of(chart: dict) -> str:
    """The query that Superset makes of a chart: sums of the dataset by the columns, where the filters hold."""
    dataset, params = datasets()[chart["dataset_uuid"]], chart["params"]
    expressions = {metric["metric_name"]: metric["expression"] for metric in dataset["metrics"]}
    columns, filters = columns_of(params), filters_of(params)
    selected = columns + [f"{expressions[name]} as {name}" for name in metrics_of(params)]
    sql = f"select {', '.join(selected)} from ({dataset['sql']}) as dataset"
    if filters:
        sql += " where " + " and ".join(f"({each})" for each in filters)
    if columns and metrics_of(params):
        sql += f" group by {', '.join(columns)}"
    return sql
