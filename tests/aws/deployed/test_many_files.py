"""Many files that land at once are few executions, and every row of theirs arrives.

The tests share one deployment, and each leaves it whole.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import tables
from lakehouse import AS_OF, BATCH_SIZE, Lakehouse, wait_for
from test_deployed import CLAIMS, claims_file, output, somebody

FILES = 500
ROWS = 3
FILES_DURING_A_RUN = 20


def small_file(sources, name: str, number: int) -> bytes:
    """A claims file with a few claims of its own."""
    of_rows = [claims_file(sources, f"{name}-{number}-{row}").splitlines() for row in range(ROWS)]
    return b"\n".join([of_rows[0][0], *(lines[1] for lines in of_rows)]) + b"\n"


def claims_of(name: str, files: int) -> set[str]:
    return {f"{name}-{number}-{row}" for number in range(files) for row in range(ROWS)}


def upload(lakehouse: Lakehouse, sources, name: str, files: int) -> None:
    def one(number: int) -> None:
        lakehouse.put(f"{CLAIMS}/hospital1_{name.lower()}_{number}.csv", small_file(sources, name, number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(files)))


def in_silver(lakehouse: Lakehouse, folder, name: str) -> list[str]:
    """Current claims whose number begins with a name."""
    rows = tables.rows(lakehouse.download("silver/claims", folder))
    found = [row["src_claim_id"] for row in rows if row["is_current"]]
    return [claim for claim in found if claim.startswith(name)]


def ended(lakehouse: Lakehouse, known: set[str], files: int) -> list[dict] | None:
    """The executions that have started since, when all have ended, and with them as many files as have landed."""
    if lakehouse.waiting() or lakehouse.pipe.is_busy():
        return None
    since = [each for each in lakehouse.listed() if each["executionArn"] not in known]
    if not since or any(each["status"] == "RUNNING" for each in since):
        return None
    executions = [each for each in lakehouse.executions() if each["executionArn"] not in known]
    return executions if sum(len(json.loads(each["input"])) for each in executions) >= files else None


def test_five_hundred_files_at_once_are_a_handful_of_executions_and_every_row_arrives(lakehouse, sources, tmp_path):
    assert lakehouse.no_alert()
    known = {each["executionArn"] for each in lakehouse.listed()}
    # As many as wait after a pipe was stopped, or when all of them land in one moment.
    lakehouse.pipe.stop()
    upload(lakehouse, sources, "MANY", FILES)
    wait_for("the events of all files", lambda: lakehouse.waiting() == FILES, 120)
    lakehouse.pipe.runs.set()
    executions = wait_for("the end of the executions", lambda: ended(lakehouse, known, FILES))
    assert len(executions) <= FILES / BATCH_SIZE + 1
    for execution in executions:
        assert output(execution)["failures"] == []
    assert sum(output(execution)["files"] for execution in executions) == FILES
    found = in_silver(lakehouse, tmp_path, "MANY-")
    assert len(found) == FILES * ROWS and set(found) == claims_of("MANY", FILES)
    assert lakehouse.no_alert() and lakehouse.pipe.failures == []
    assert lakehouse.waiting("LandedFilesNotStartedUrl") == 0


def test_files_that_land_during_a_scheduled_run_arrive_and_both_succeed(lakehouse, sources, tmp_path):
    known = {each["executionArn"] for each in lakehouse.listed()}
    run = lakehouse.states.start_execution(
        stateMachineArn=lakehouse.outputs["PipelineArn"], input=json.dumps({"as_of": AS_OF})
    )
    upload(lakehouse, sources, "DURING", FILES_DURING_A_RUN)
    executions = wait_for("the end of the executions", lambda: ended(lakehouse, known, FILES_DURING_A_RUN))
    for execution in [lakehouse.ended(run["executionArn"]), *executions]:
        assert output(execution)["failures"] == []
    found = in_silver(lakehouse, tmp_path, "DURING-")
    assert len(found) == FILES_DURING_A_RUN * ROWS and set(found) == claims_of("DURING", FILES_DURING_A_RUN)
    assert lakehouse.no_alert() and lakehouse.waiting("LandedFilesNotStartedUrl") == 0


def test_a_refused_file_stops_no_other_of_its_batch_and_every_entity_that_landed_is_taken(lakehouse, sources, tmp_path):
    known = {each["executionArn"] for each in lakehouse.listed()}
    lakehouse.pipe.stop()
    codes = next((sources / "landing/cptcodes").glob("*.csv"))
    broken, good = f"{CLAIMS}/hospital1_batch_broken.csv", f"{CLAIMS}/hospital1_batch_good.csv"
    lakehouse.put(broken, claims_file(sources, "BATCH-BROKEN").replace(b"ServiceDate", b"Serviced"))
    lakehouse.put(good, claims_file(sources, "BATCH-GOOD"))
    lakehouse.put(f"landing/cptcodes/{codes.name}", codes.read_bytes())
    lakehouse.put(f"{CLAIMS}/hospital1_batch.csv.tmp", claims_file(sources, "BATCH-UNFINISHED"))
    wait_for("the events of all files", lambda: lakehouse.waiting() == 4, 120)
    lakehouse.pipe.runs.set()
    [execution] = wait_for("the end of the execution", lambda: ended(lakehouse, known, 4))
    [failure] = output(execution)["failures"]
    assert (failure["step"], failure["subject"]) == ("landing-to-bronze", broken)
    [alert] = lakehouse.alerts()
    assert alert["failures"] == [failure]
    assert in_silver(lakehouse, tmp_path, "BATCH-") == ["BATCH-GOOD"]
    run = output(execution)["run_id"]
    wait_for("both tables", lambda: {"silver-claims", "silver-cpt-codes"} <= lakehouse.stages(run), 60)
    for key in (broken, f"{CLAIMS}/hospital1_batch.csv.tmp"):
        lakehouse.s3.delete_object(Bucket=lakehouse.bucket, Key=key)


def test_operators_move_files_that_no_execution_was_started_for_back_to_their_queue(lakehouse, sources, tmp_path):
    known = {each["executionArn"] for each in lakehouse.listed()}
    sqs = lakehouse.stand_in.client("sqs", somebody(lakehouse, "Operators", "moves"))
    lakehouse.pipe.stop()
    lakehouse.put(f"{CLAIMS}/hospital1_moved.csv", claims_file(sources, "MOVED"))

    def not_started() -> int:
        """A pipe that receives and cannot start."""
        lakehouse.sqs.receive_message(QueueUrl=lakehouse.outputs["LandedFilesUrl"], VisibilityTimeout=0)
        return lakehouse.waiting("LandedFilesNotStartedUrl")

    wait_for("a file that no execution was started for", not_started, 60)
    assert lakehouse.waiting() == 0
    # The stand-in has no tasks that move messages: these are their calls, with the same rights.
    dead, queue = lakehouse.outputs["LandedFilesNotStartedUrl"], lakehouse.outputs["LandedFilesUrl"]
    [message] = sqs.receive_message(QueueUrl=dead)["Messages"]
    sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
    lakehouse.pipe.runs.set()
    [execution] = wait_for("the end of the execution", lambda: ended(lakehouse, known, 1))
    assert output(execution)["failures"] == []
    assert in_silver(lakehouse, tmp_path, "MOVED") == ["MOVED"]
    assert lakehouse.waiting("LandedFilesNotStartedUrl") == 0


def test_one_storage_event_is_an_execution_too(lakehouse, sources, tmp_path):
    """As where there are no pipes."""
    rule, key = "rcm-test-file-landed", f"{CLAIMS}/hospital1_one_event.csv"
    rules = lakehouse.stand_in.client("events")
    rules.disable_rule(Name=rule)
    try:
        lakehouse.put(key, claims_file(sources, "ONE-EVENT"))
    finally:
        rules.enable_rule(Name=rule)
    event = {"detail-type": "Object Created", "detail": {"object": {"key": key}}}
    machine = lakehouse.outputs["ClaimsLandedArn"]
    started = lakehouse.states.start_execution(stateMachineArn=machine, input=json.dumps(event))
    execution = lakehouse.ended(started["executionArn"])
    assert (output(execution)["files"], output(execution)["failures"]) == (1, [])
    assert in_silver(lakehouse, tmp_path, "ONE-") == ["ONE-EVENT"]
