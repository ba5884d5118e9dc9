"""The lakehouse as it is deployed: the real template, the functions' own binaries, IAM enforced.

The tests share one deployment, and each leaves it whole.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
import tables
from botocore.exceptions import ClientError
from lakehouse import FUNCTIONS, Lakehouse, wait_for
from stand_in import REGION, ROOT

CLAIMS = "landing/claims"


def gold(lakehouse: Lakehouse, tmp_path):
    return lakehouse.download("gold", tmp_path)


def output(execution: dict) -> dict:
    assert execution["status"] == "SUCCEEDED", execution
    return json.loads(execution["output"])


def claims_file(sources, claim: str, amount: str = "120.50") -> bytes:
    """A claims file of hospital A with one claim: that of another file under a number of its own."""
    path = next(path for path in sorted((sources / "landing/claims").glob("*.csv")) if path.name.startswith("hospital1"))
    header, row = path.read_text(encoding="utf-8-sig").splitlines()[:2]
    columns, fields = header.split(","), row.split(",")
    fields[columns.index("ClaimID")], fields[columns.index("ClaimAmount")] = claim, amount
    return f"{header}\n{','.join(fields)}\n".encode()


def claims_in_gold(lakehouse: Lakehouse, tmp_path) -> set[str]:
    return {row["src_claim_id"] for row in tables.rows(lakehouse.download("gold/fact_claims", tmp_path))}


def table_versions(lakehouse: Lakehouse) -> dict[str, int]:
    """Commits of every Delta table but those of the audit, which notes every run."""
    logs = [key for layer in ("silver", "quarantine", "gold") for key in lakehouse.keys(f"{layer}/")]
    commits = [key for key in logs if "/_delta_log/" in key and key.endswith(".json")]
    return {table: sum(key.startswith(f"{table}/") for key in commits) for table in {key.split("/_delta_log")[0] for key in commits}}


def test_a_run_makes_the_gold_layer_that_a_run_on_one_machine_makes(lakehouse, folder_lake, began, tmp_path):
    here = tables.comparable(folder_lake / "gold", began)
    there = tables.comparable(gold(lakehouse, tmp_path), began)
    assert sorted(there) == sorted(here)
    assert len(here["fact_transactions"]) > 0
    for table, rows in here.items():
        assert there[table] == rows, table


def test_a_second_run_commits_nothing(lakehouse):
    before = table_versions(lakehouse)
    assert output(lakehouse.run())["failures"] == []
    assert table_versions(lakehouse) == before


def test_a_claims_file_that_lands_is_in_gold_once_however_often_it_lands(lakehouse, sources, tmp_path):
    assert "CLAIM-LANDED" not in claims_in_gold(lakehouse, tmp_path / "before")
    content = claims_file(sources, "CLAIM-LANDED")
    execution = lakehouse.land(f"{CLAIMS}/hospital1_landed.csv", content)
    assert output(execution)["failures"] == []
    assert "CLAIM-LANDED" in claims_in_gold(lakehouse, tmp_path / "after")

    versions = table_versions(lakehouse)
    for again in (f"{CLAIMS}/hospital1_landed.csv", f"{CLAIMS}/hospital1_same_under_another_name.csv"):
        assert output(lakehouse.land(again, content))["failures"] == []
    assert table_versions(lakehouse) == versions


def test_a_file_whose_event_was_lost_is_taken_by_the_next_run(lakehouse, sources, tmp_path):
    rules = lakehouse.stand_in.client("events")
    [rule] = [rule["Name"] for rule in rules.list_rules()["Rules"]]
    rules.disable_rule(Name=rule)
    try:
        lakehouse.put(f"{CLAIMS}/hospital1_unnoticed.csv", claims_file(sources, "CLAIM-UNNOTICED"))
        assert output(lakehouse.run())["failures"] == []
    finally:
        rules.enable_rule(Name=rule)
    assert lakehouse.landed(f"{CLAIMS}/hospital1_unnoticed.csv") == []
    assert "CLAIM-UNNOTICED" in claims_in_gold(lakehouse, tmp_path)


def test_a_broken_file_is_refused_with_an_alert_and_the_next_one_goes_through(lakehouse, sources, tmp_path):
    assert lakehouse.no_alert()
    broken = claims_file(sources, "CLAIM-BROKEN").replace(b"ServiceDate", b"Serviced")
    execution = lakehouse.land(f"{CLAIMS}/hospital1_broken.csv", broken)
    [failure] = output(execution)["failures"]
    assert failure["step"] == "landing-to-bronze" and failure["subject"].endswith("/hospital1_broken.csv")
    assert failure["reason"]["Error"] == "BrokenContract" and "ServiceDate" in failure["reason"]["Cause"]
    [alert] = lakehouse.alerts()
    assert alert["failures"] == [failure]
    refused = [json.loads(lakehouse.get(key)) for key in lakehouse.keys("bronze/claims/_refused/")]
    assert any("hospital1_broken.csv" in json.dumps(entry) for entry in refused)

    rows = claims_file(sources, "CLAIM-NEXT") + claims_file(sources, "CLAIM-BAD", amount="many").splitlines()[1] + b"\n"
    assert output(lakehouse.land(f"{CLAIMS}/hospital1_next.csv", rows))["failures"] == []
    assert {"CLAIM-NEXT", "CLAIM-BAD"} & claims_in_gold(lakehouse, tmp_path / "gold") == {"CLAIM-NEXT"}
    quarantined = tables.rows(lakehouse.download("quarantine/claims", tmp_path / "quarantine"))
    assert [row["datasource"] for row in quarantined if "CLAIM-BAD" in str(row)] == ["hos-a"]
    lakehouse.s3.delete_object(Bucket=lakehouse.bucket, Key=f"{CLAIMS}/hospital1_broken.csv")


def test_a_source_that_fails_is_named_and_stops_no_other(lakehouse, sources, tmp_path):
    missing, changed = "emr/hos-b/encounters.csv", "emr/hos-a/departments.csv"
    kept = {key: lakehouse.get(key) for key in (missing, changed)}
    header = kept[changed].decode("utf-8-sig").splitlines()[0]
    assert header.split(",") == ["DeptID", "Name"]
    lakehouse.s3.delete_object(Bucket=lakehouse.bucket, Key=missing)
    lakehouse.put(changed, kept[changed].rstrip(b"\n") + b"\nDEPT998,Sleep medicine\n")
    try:
        [failure] = output(lakehouse.run())["failures"]
    finally:
        for key, content in kept.items():
            lakehouse.put(key, content)
    assert (failure["step"], failure["subject"]) == ("emr-extract", "hosb/encounters")
    assert failure["reason"]["Error"] == "BrokenContract"
    [alert] = lakehouse.alerts()
    assert alert["failures"] == [failure]
    departments = tables.rows(lakehouse.download("gold/dim_department", tmp_path))
    assert "DEPT998-hos-a" in {row["dept_key"] for row in departments}


class Registry(BaseHTTPRequestHandler):
    """An NPI registry that is too busy for the first question, and knows nobody."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        body = b"" if self.asked == 1 else b'{"result_count": 0, "results": []}'
        self.send_response(429 if self.asked == 1 else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def registry():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_a_source_that_throttles_once_is_asked_again_by_the_state_machine(lakehouse, registry):
    kept = lakehouse.get("configs/sources.toml")
    npi = f'\n[npi]\nbase_url = "{registry}"\n[npi.http]\ntries = 1\nconcurrency = 1\nrequests_per_second = 1000.0\n'
    lakehouse.put("configs/sources.toml", kept + npi.encode())
    try:
        execution = lakehouse.run()
    finally:
        lakehouse.put("configs/sources.toml", kept)
    assert output(execution)["failures"] == []
    failed = [event["taskFailedEventDetails"] for event in lakehouse.history(execution) if event["type"] == "TaskFailed"]
    assert [failure["error"] for failure in failed] == ["Throttled"]
    assert lakehouse.keys("silver/npi/_delta_log/")
    assert Registry.asked > 1


def test_every_function_has_done_its_work_with_the_rights_of_its_own_role(lakehouse):
    lakehouse.invoke("maintenance", {})

    # What plan has done is known by the runs that it has planned.
    wait_for("a log line of every stage", lambda: set(FUNCTIONS) - {"plan"} <= lakehouse.stages(), 60)


def test_logs_carry_the_run_and_metrics_of_every_layer(lakehouse):
    run = output(lakehouse.run())["run_id"]
    wait_for("log lines of the run", lambda: {"silver-patients", "gold-facts", "audit"} <= lakehouse.stages(run), 60)
    lines = lakehouse.log_lines()
    metrics = {name["Name"] for line in lines for each in line.get("_aws", {}).get("CloudWatchMetrics", []) for name in each["Metrics"]}
    assert {"RowsRead", "RowsQuarantined", "StageDurationMs"} <= metrics


@pytest.fixture(params=["Engineers", "DataScientists", "BusinessUsers"])
def audience(request, lakehouse):
    """Somebody who has nothing but the policy of an audience: its name and its session."""
    iam = lakehouse.stand_in.client("iam")
    name = request.param.lower()
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=lakehouse.outputs[f"{request.param}PolicyArn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return request.param, boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)


MAY_READ = {
    "Engineers": {"bronze", "silver", "quarantine", "gold", "audit"},
    "DataScientists": {"silver", "gold"},
    "BusinessUsers": {"gold"},
}


def test_an_audience_reads_its_layers_and_writes_none(lakehouse, audience):
    name, session = audience
    s3 = lakehouse.stand_in.client("s3", session)

    def allowed(call) -> bool:
        try:
            call()
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
            return False
        return True

    layers = ["bronze", "silver", "quarantine", "gold", "audit"]
    first = {layer: lakehouse.keys(f"{layer}/")[0] for layer in layers}
    read = {layer for layer in layers if allowed(lambda: s3.get_object(Bucket=lakehouse.bucket, Key=first[layer]))}
    assert read == MAY_READ[name]
    for layer in layers:
        assert not allowed(lambda: s3.put_object(Bucket=lakehouse.bucket, Key=f"{layer}/x", Body=b"")), layer


def test_athena_finds_every_silver_and_gold_table(lakehouse):
    glue = lakehouse.stand_in.client("glue")
    for layer in ("silver", "gold"):
        pages = glue.get_paginator("get_tables").paginate(DatabaseName=f"rcm_test_{layer}")
        known = {table["Name"]: table for page in pages for table in page["TableList"]}
        made = {key.split("/")[1] for key in lakehouse.keys(f"{layer}/") if "/_delta_log/" in key}
        assert made <= set(known), layer
        for table in made:
            location = known[table]["StorageDescriptor"]["Location"].rstrip("/")
            assert location == f"s3://{lakehouse.bucket}/{layer}/{table}"
