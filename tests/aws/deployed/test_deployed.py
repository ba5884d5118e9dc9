"""The lakehouse as it is deployed: the real template, the functions' own binaries, IAM enforced.

The tests share one deployment, and each leaves it whole.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

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
    """A claims file of hospital A with one claim: that of another file with a new number."""
    path = next(path for path in sorted((sources / "landing/claims").glob("*.csv")) if path.name.startswith("hospital1"))
    header, row = path.read_text(encoding="utf-8-sig").splitlines()[:2]
    columns, fields = header.split(","), row.split(",")
    fields[columns.index("ClaimID")], fields[columns.index("ClaimAmount")] = claim, amount
    return f"{header}\n{','.join(fields)}\n".encode()


def claims_in_gold(lakehouse: Lakehouse, tmp_path) -> set[str]:
    return {row["src_claim_id"] for row in tables.rows(lakehouse.download("gold/fact_claims", tmp_path))}


def table_versions(lakehouse: Lakehouse) -> dict[str, int]:
    """Commits of every Delta table except those of the audit, which records every run."""
    logs = [key for layer in ("silver", "quarantine", "gold") for key in lakehouse.keys(f"{layer}/")]
    commits = [key for key in logs if "/_delta_log/" in key and key.endswith(".json")]
    assert commits
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
    rule = "rcm-test-file-landed"
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
    """A registry on this machine."""

    def answer(self, status: int, body: dict | None) -> None:
        content = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class NpiRegistry(Registry):
    """Throttles the first request, and has no entries."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.answer(*((429, None) if self.asked == 1 else (200, {"result_count": 0, "results": []})))


class IcdApi(Registry):
    """A release with one made-up code, for clients with the secret."""

    CLIENT = {"client_id": ["test"], "client_secret": ["made-up"]}
    # One below the other: the release, a chapter, a block, and a code.
    NODES = ["", "I", "A00-A09", "A00"]

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        is_known = self.CLIENT.items() <= form.items()
        self.answer(*((200, {"access_token": "made-up", "expires_in": 3600}) if is_known else (400, {})))

    def do_GET(self):
        code = self.path.removeprefix("/icd/release/10/2019").strip("/")
        if self.headers["Authorization"] != "Bearer made-up" or code not in self.NODES:
            return self.answer(401, {})
        node = {"code": code, "classKind": "category" if code == "A00" else "chapter", "title": {"@value": "Made up"}}
        place, links = self.NODES.index(code), [f"http://stand-in/icd/release/10/2019/{each}" for each in self.NODES]
        below, above = links[place + 1 : place + 2], links[max(place - 1, 0) : place]
        self.answer(200, node | ({"child": below} if below else {}) | ({"parent": above} if above else {}))


@contextmanager
def asked(lakehouse: Lakehouse, registry: type[Registry], options: str):
    """Configures a registry while it runs; `options` has a placeholder for its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept = lakehouse.get("configs/sources.toml")
    address = f"http://127.0.0.1:{server.server_port}"
    lakehouse.put("configs/sources.toml", kept + options.replace("ADDRESS", address).encode())
    try:
        yield
    finally:
        lakehouse.put("configs/sources.toml", kept)
        server.shutdown()


def test_a_source_that_throttles_once_is_asked_again_by_the_state_machine(lakehouse):
    options = '\n[npi]\nbase_url = "ADDRESS/"\n[npi.http]\ntries = 1\nconcurrency = 1\nrequests_per_second = 1000.0\n'
    with asked(lakehouse, NpiRegistry, options):
        execution = lakehouse.run()
    assert output(execution)["failures"] == []
    failed = [event["taskFailedEventDetails"] for event in lakehouse.history(execution) if event["type"] == "TaskFailed"]
    assert [failure["error"] for failure in failed if "NPI registry" in failure["cause"]] == ["Throttled"]
    assert lakehouse.keys("silver/npi/_delta_log/")
    assert NpiRegistry.asked > 1


def test_the_icd_api_is_asked_with_the_secret_of_the_stack(lakehouse, tmp_path):
    client = {name: value for name, [value] in IcdApi.CLIENT.items()}
    lakehouse.stand_in.client("secretsmanager").put_secret_value(
        SecretId="rcm/test/icd-api", SecretString=json.dumps(client)
    )
    options = '\n[icd]\nbase_url = "ADDRESS"\ntoken_url = "ADDRESS/connect/token"\nrelease = "2019"\nlanguage = "en"\n'
    with asked(lakehouse, IcdApi, options):
        assert output(lakehouse.run())["failures"] == []
    codes = tables.rows(lakehouse.download("silver/icd_codes", tmp_path))
    assert [(row["icd_code"], row["parent_code"]) for row in codes] == [("A00", "A00-A09")]


def test_every_function_has_done_its_work_with_the_rights_of_its_own_role(lakehouse, tmp_path):
    assert lakehouse.invoke("maintenance", {})["outcome"] == "done"
    logged = tables.rows(lakehouse.download("audit/load_logs", tmp_path))
    done = {row["stage"] for row in logged if row["outcome"] == "done"}
    # What plan and audit have done is known by the runs that were planned and are in the audit.
    assert done == set(FUNCTIONS) - {"plan", "audit", "maintenance"}


def test_logs_carry_the_run_and_metrics_of_every_layer(lakehouse):
    run = output(lakehouse.run())["run_id"]
    wait_for("log lines of the run", lambda: {"silver-patients", "gold-facts", "audit"} <= lakehouse.stages(run), 60)
    lines = lakehouse.log_lines()
    metrics = {name["Name"] for line in lines for each in line.get("_aws", {}).get("CloudWatchMetrics", []) for name in each["Metrics"]}
    assert {"RowsRead", "RowsQuarantined", "StageDurationMs"} <= metrics


def somebody(lakehouse: Lakehouse, audience: str, name: str | None = None) -> boto3.Session:
    """The session of a person who has only the policy of an audience."""
    iam = lakehouse.stand_in.client("iam")
    name = name or audience.lower()
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=lakehouse.outputs[f"{audience}PolicyArn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)


def allowed(call) -> bool:
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403"), error
        return False
    return True


MAY_READ = {
    "Engineers": {"bronze", "silver", "quarantine", "gold", "audit"},
    "DataScientists": {"silver", "gold"},
    "BusinessUsers": {"gold"},
}


@pytest.mark.parametrize("name", MAY_READ)
def test_an_audience_reads_its_layers_and_writes_none(lakehouse, name):
    s3 = lakehouse.stand_in.client("s3", somebody(lakehouse, name))
    layers = ["bronze", "silver", "quarantine", "gold", "audit"]
    # Tables that are there whatever the sources are: a claim has gone to quarantine in a test above.
    tables_of_claims = ["bronze/claims", "silver/claims", "quarantine/claims", "gold/fact_claims", "audit/load_logs"]
    first = {layer: lakehouse.keys(f"{table}/")[0] for layer, table in zip(layers, tables_of_claims)}
    read = {layer for layer in layers if allowed(lambda: s3.get_object(Bucket=lakehouse.bucket, Key=first[layer]))}
    assert read == MAY_READ[name]
    for layer in layers:
        assert not allowed(lambda: s3.put_object(Bucket=lakehouse.bucket, Key=f"{layer}/x", Body=b"")), layer


def test_operators_run_the_lake_and_change_no_source_of_truth(lakehouse):
    session = somebody(lakehouse, "Operators")
    s3 = lakehouse.stand_in.client("s3", session)

    def may_put(layer: str) -> bool:
        return allowed(lambda: s3.put_object(Bucket=lakehouse.bucket, Key=f"{layer}/by-operators", Body=b""))

    layers = ["landing", "emr", "configs", "bronze", "silver", "quarantine", "gold", "audit"]
    may = {layer for layer in layers if may_put(layer)}
    for layer in may:
        s3.delete_object(Bucket=lakehouse.bucket, Key=f"{layer}/by-operators")
    assert may == set(layers) - {"bronze", "audit"}
    states, machine = lakehouse.stand_in.client("stepfunctions", session), lakehouse.outputs["PipelineArn"]
    assert allowed(lambda: states.list_executions(stateMachineArn=machine))
    functions = lakehouse.stand_in.client("lambda", session)
    assert not allowed(lambda: functions.invoke(FunctionName="rcm-test-audit", Payload=b"{}"))


def test_athena_finds_every_silver_and_gold_table(lakehouse):
    glue = lakehouse.stand_in.client("glue")
    for layer in ("silver", "gold"):
        pages = glue.get_paginator("get_tables").paginate(DatabaseName=f"rcm_test_{layer}")
        known = {table["Name"]: table for page in pages for table in page["TableList"]}
        made = {key.split("/")[1] for key in lakehouse.keys(f"{layer}/") if "/_delta_log/" in key}
        assert made and made <= set(known), layer
        for table in made:
            location = known[table]["StorageDescriptor"]["Location"].rstrip("/")
            assert location == f"s3://{lakehouse.bucket}/{layer}/{table}"
            assert known[table]["Parameters"]["table_type"] == "DELTA"
