"""What waits for a person on AWS is reported, and nothing else waits because of it.

The tests share one deployment, and each leaves it whole.
"""

import json
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError
from lakehouse import ENVIRONMENT, Lakehouse, wait_for
from stand_in import ROOT
from test_deployed import CLAIMS, allowed, claims_file, claims_in_gold, output, somebody

RULES = "configs/quality/claims.toml"


@contextmanager
def unnoticed(lakehouse: Lakehouse):
    """While it is active, landed files start no execution."""
    rules, rule = lakehouse.stand_in.client("events"), f"rcm-{ENVIRONMENT}-file-landed"
    rules.disable_rule(Name=rule)
    try:
        yield
    finally:
        rules.enable_rule(Name=rule)


@contextmanager
def no_bad_claim(lakehouse: Lakehouse):
    """While it is active, a load of claims with a single bad row does not go to silver."""
    kept = lakehouse.get(RULES)
    lakehouse.put(RULES, kept.replace(b"[[rule]]", b"max_quarantined_share = 0.0\n\n[[rule]]", 1))
    try:
        yield
    finally:
        lakehouse.put(RULES, kept)


def test_a_landed_file_whose_silver_step_fails_reaches_gold_with_the_others_and_rings(lakehouse, sources, tmp_path):
    """The other hospitals: a claim that silver has and gold does not, because its run ended in between."""
    assert lakehouse.no_alert()
    committed, stuck = f"{CLAIMS}/hospital1_committed.csv", f"{CLAIMS}/hospital1_stuck.csv"
    with unnoticed(lakehouse):
        lakehouse.put(committed, claims_file(sources, "CLAIM-COMMITTED"))
        lakehouse.invoke("landing-to-bronze", {"run_id": "ended-early", "key": committed})
        lakehouse.invoke("silver-claims", {"run_id": "ended-early"})
    assert "CLAIM-COMMITTED" not in claims_in_gold(lakehouse, tmp_path / "before")

    with no_bad_claim(lakehouse):
        execution = lakehouse.land(stuck, claims_file(sources, "CLAIM-STUCK", amount="many"))
    told = output(execution)
    [failure] = told["failures"]
    assert (failure["step"], failure["reason"]["Error"]) == ("silver-claims", "ThresholdExceeded")
    assert [alert["failures"] for alert in lakehouse.alerts()] == [[failure]]
    assert "CLAIM-COMMITTED" in claims_in_gold(lakehouse, tmp_path / "after")
    steps = lakehouse.steps(execution)
    # What a Map does is not in the stand-in's history: the failure above is that of its state.
    assert steps.index("Silver") < steps.index("GoldKpis") < steps.index("Audit")

    rings(lakehouse, told["run_id"], "LoadsWaiting", "claims", f"rcm-{ENVIRONMENT}-claims-loads-wait")
    rings(lakehouse, told["run_id"], "StagesFailed", "audit", f"rcm-{ENVIRONMENT}-stages-failed")
    assert lakehouse.metric(told["run_id"], "LoadsWaiting", "claims")["LoadsWaiting"] == 1
    assert lakehouse.metric(told["run_id"], "LoadsWaiting", "patients")["LoadsWaiting"] == 0
    assert lakehouse.metric(told["run_id"], "StagesFailed", "audit")["StagesFailed"] == 1

    # The rules are as before: the next run ingests the waiting load, and the alarm turns off.
    after = output(lakehouse.run())
    assert after["failures"] == []
    line = wait_for("figures of the run", lambda: lakehouse.metric(after["run_id"], "LoadsWaiting", "claims"), 60)
    assert line["LoadsWaiting"] == 0


def rings(lakehouse: Lakehouse, run: str, name: str, entity: str, alarm: str) -> None:
    """Checks that an alarm goes off when a metric is more than zero.

    The stand-in makes no metrics of log lines, as CloudWatch does: it is handed a figure by the name that a line of
    the run has, and the alarm must be on the namespace, the name and the dimensions of that line. Nor does the
    stand-in look at dimensions: other alarms on the name ring too.
    """
    line = wait_for(f"{name} of {entity}", lambda: lakehouse.metric(run, name, entity), 60)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert name in {metric["Name"] for metric in directive["Metrics"]}
    cloudwatch = lakehouse.stand_in.client("cloudwatch")

    def described() -> dict:
        [found] = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        return found

    found = described()
    assert (found["Namespace"], found["MetricName"]) == (directive["Namespace"], name)
    assert {each["Name"]: each["Value"] for each in found["Dimensions"]} in [
        {dimension: line[dimension] for dimension in dimensions} for dimensions in directive["Dimensions"]
    ]
    assert found["AlarmActions"] == found["OKActions"] == [lakehouse.outputs["AlertsArn"]]
    datum = {"MetricName": name, "Dimensions": found["Dimensions"]}
    cloudwatch.put_metric_data(Namespace=found["Namespace"], MetricData=[datum | {"Value": 1.0}])
    assert described()["StateValue"] == "ALARM"
    assert (alarm, "ALARM") in {(message["AlarmName"], message["NewStateValue"]) for message in lakehouse.alerts()}
    assert described()["TreatMissingData"] == "ignore", "between two runs it stays as it is"


@pytest.mark.parametrize("name", ["hospital1_claims.csv.tmp", "hospital1_claims.csv.PART", ".hospital1.csv", "old/hospital1.csv"])
def test_what_is_no_finished_file_of_a_feed_is_left_alone(lakehouse, sources, name):
    key = f"{CLAIMS}/{name}"
    execution = lakehouse.land(key, claims_file(sources, "CLAIM-UNFINISHED"))
    assert execution["status"] == "SUCCEEDED"
    assert not any("lambda" in json.dumps(event.get("taskScheduledEventDetails", {})) for event in lakehouse.history(execution))
    # What a Map does is not in the stand-in's history: its result is.
    assert lakehouse.steps(execution)[-1] == "NoFileOfFeed"
    lakehouse.s3.delete_object(Bucket=lakehouse.bucket, Key=key)


def test_a_write_to_the_lake_under_another_encryption_is_refused(lakehouse):
    s3 = lakehouse.stand_in.client("s3", somebody(lakehouse, "Operators", "encrypts"))

    def may_put(**encryption) -> bool:
        return allowed(lambda: s3.put_object(Bucket=lakehouse.bucket, Key="landing/by-operators", Body=b"", **encryption))

    assert may_put()
    assert not may_put(ServerSideEncryption="AES256")
    s3.delete_object(Bucket=lakehouse.bucket, Key="landing/by-operators")


def test_operators_note_in_bronze_what_they_decide_and_nothing_else(lakehouse):
    s3 = lakehouse.stand_in.client("s3", somebody(lakehouse, "Operators", "decides"))

    def may_put(key: str) -> bool:
        return allowed(lambda: s3.put_object(Bucket=lakehouse.bucket, Key=key, Body=b"{}"))

    noted = ["bronze/made-up/_refused/a-dismissed.json", "bronze/made-up/_voids/1-1.json"]
    assert all(may_put(key) for key in noted)
    for key in ("bronze/made-up/_refused/a.json", "bronze/made-up/_loads/1.json", "bronze/made-up/data/a.parquet"):
        assert not may_put(key), key
    lakehouse.s3.delete_objects(Bucket=lakehouse.bucket, Delete={"Objects": [{"Key": key} for key in noted]})


def test_operators_pause_a_schedule_and_change_nothing_else_of_it(lakehouse):
    scheduler = lakehouse.stand_in.client("scheduler", somebody(lakehouse, "Operators", "pauses"))
    name = f"rcm-{ENVIRONMENT}-pipeline"
    before = scheduler.get_schedule(Name=name)
    given = {"ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "KmsKeyArn", "Description"}
    kept = {field: before[field] for field in given if field in before}
    # Disabled in this deployment: what they may do with it is what counts.
    scheduler.update_schedule(Name=name, State="DISABLED", **kept)
    after = scheduler.get_schedule(Name=name)
    assert after["State"] == "DISABLED" and {field: after[field] for field in kept} == kept
    assert json.loads(after["Target"]["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    assert not allowed(lambda: scheduler.delete_schedule(Name=name))


def test_a_schedule_that_is_on_has_somebody_to_tell(lakehouse):
    """The parameters and rules of the template, with one other resource instead of its own."""
    template = (ROOT / "infra/aws/template.yaml").read_text()
    said = template[template.index("Parameters:") : template.index("Conditions:")]
    body = f"{said}Resources:\n  Topic: {{Type: AWS::SNS::Topic}}\n"
    stacks = lakehouse.stand_in.client("cloudformation")

    def deploys(name: str, **parameters: str) -> bool:
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        try:
            stacks.create_stack(StackName=name, TemplateBody=body, Parameters=given)
        except ClientError as error:
            assert "AlertEmail" in str(error), error
            return False
        return True

    assert not deploys("on-and-nobody")
    assert not deploys("on-and-nobody-too", ScheduleState="ENABLED", AlertEmail="")
    assert deploys("off", ScheduleState="DISABLED")
    assert deploys("on", AlertEmail="somebody@example.org")
