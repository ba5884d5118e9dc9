"""The deployed lakehouse, as tests use it."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import boto3
from botocore.config import Config
from pipe import Pipe
from stand_in import ACCOUNT, REGION, ROOT, TOOLS, StandIn

ENVIRONMENT = "test"
STACK = "rcm-lakehouse"
AS_OF = "2024-11-07"
FUNCTIONS = sorted(folder.name for folder in (ROOT / "functions").iterdir())
# Executables without debug information: see tests/aws/build-functions.sh.
BUILT = ROOT / "target/aws"
LONGEST_EXECUTION_SECONDS = 1800
# Parameters of the stack: files of an execution at most, and how long the first one waits for others.
BATCH_SIZE = 100
WINDOW_SECONDS = 1
# Of a program, and of a function that is called by itself.
LONGEST_CALL_SECONDS = 900
PAUSE_SECONDS = 0.3


def wait_for(what: str, answer, longest_seconds: float = LONGEST_EXECUTION_SECONDS):
    """Waits until `answer` returns a value, and returns it."""
    started = time.monotonic()
    while not (found := answer()):
        assert time.monotonic() - started < longest_seconds, f"{what}: not in {longest_seconds} s"
        time.sleep(PAUSE_SECONDS)
    return found


class Lakehouse:
    def __init__(self, stand_in: StandIn, folder: Path):
        self.stand_in = stand_in
        self.known: dict[str, dict] = {}
        self.s3, self.states, self.sqs = (stand_in.client(name) for name in ("s3", "stepfunctions", "sqs"))
        # A slow function is not called a second time.
        patient = Config(read_timeout=LONGEST_CALL_SECONDS, retries={"total_max_attempts": 1})
        self.functions, self.logs = stand_in.client("lambda", config=patient), stand_in.client("logs")
        self._deploy(folder)
        outputs = stand_in.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.bucket = self.outputs["LakeBucket"]
        self.alerts_queue = self._subscribe()
        self.pipe = self._pipe()
        self.pipe.start()
        self.pipe.runs.set()

    def _deploy(self, folder: Path) -> None:
        """`sam deploy` of the template, with the functions that are built already in place of `sam build`."""
        template = (ROOT / "infra/aws/template.yaml").read_text()
        template = re.sub(r"CodeUri: \.\./\.\./functions/", f"CodeUri: {BUILT}/", template)
        template = re.sub(r"DefinitionUri: ", f"DefinitionUri: {ROOT}/infra/aws/", template)
        path = folder / "template.yaml"
        path.write_text(template)
        processor = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        parameters = [f"EnvironmentName={ENVIRONMENT}", f"Architecture={processor}", "ScheduleState=DISABLED"]
        parameters += [f"LandedFilesBatchSize={BATCH_SIZE}", f"LandedFilesWindowSeconds={WINDOW_SECONDS}"]
        command = [TOOLS / "sam/bin/sam", "deploy", "--template-file", path, "--stack-name", STACK, "--resolve-s3"]
        command += ["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--parameter-overrides", *parameters]
        environment = self.stand_in.environment | {"SAM_CLI_TELEMETRY": "0"}
        said = subprocess.run(
            command, cwd=folder, env=environment, text=True, capture_output=True, timeout=LONGEST_CALL_SECONDS
        )
        assert said.returncode == 0, said.stdout + said.stderr

    def _subscribe(self) -> str:
        """A queue that gets the alerts."""
        queue = self.sqs.create_queue(QueueName="alerts")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts"
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
        self.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
        self.stand_in.client("sns").subscribe(TopicArn=self.outputs["AlertsArn"], Protocol="sqs", Endpoint=arn)
        return queue

    def _pipe(self) -> Pipe:
        """What moves landed files from their queue to the state machine, from and to what the pipe of the stack names."""
        described = self.stand_in.client("pipes").describe_pipe(Name=self.outputs["LandedFilesPipeName"])
        attributes = {"QueueUrl": self.outputs["LandedFilesUrl"], "AttributeNames": ["QueueArn"]}
        assert described["Source"] == self.sqs.get_queue_attributes(**attributes)["Attributes"]["QueueArn"]
        assert described["Target"] == self.outputs["ClaimsLandedArn"] and described["CurrentState"] == "RUNNING"
        rights = self._with_rights_of(described["RoleArn"].rsplit("/", 1)[1])
        sqs, states = self.stand_in.client("sqs", rights), self.stand_in.client("stepfunctions", rights)
        return Pipe(sqs, states, self.outputs["LandedFilesUrl"], described["Target"], BATCH_SIZE, WINDOW_SECONDS)

    def _with_rights_of(self, role: str) -> boto3.Session:
        """The session of a user who may do what a role of one policy may, which only a service can assume."""
        iam, user = self.stand_in.client("iam"), "as-a-service"
        [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName=policy, PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)

    # ---- The lake ----

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def download(self, prefix: str, folder: Path) -> Path:
        """Copies what is below a prefix, to be read as a folder."""
        for key in self.keys(f"{prefix}/"):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(key))
        return folder / prefix

    # ---- Executions ----

    def run(self, **given) -> dict:
        """Starts the pipeline, and returns its execution when it has ended."""
        machine = self.outputs["PipelineArn"]
        started = self.states.start_execution(stateMachineArn=machine, input=json.dumps({"as_of": AS_OF} | given))
        return self.ended(started["executionArn"])

    def ended(self, arn: str) -> dict:
        def ended():
            execution = self.states.describe_execution(executionArn=arn)
            return execution if execution["status"] != "RUNNING" else None

        return wait_for(arn, ended)

    def landed(self, key: str) -> list[dict]:
        """The ended executions of `claims-landed` for a key, the last one first; none while one runs."""
        def is_of_key(execution: dict) -> bool:
            files = json.loads(execution["input"])
            # One that was started with a single event is of no batch.
            return isinstance(files, list) and {"key": key} in files

        of_key = [each for each in self.executions() if is_of_key(each)]
        return [] if any(each["status"] == "RUNNING" for each in of_key) else of_key

    def listed(self) -> list[dict]:
        """All executions of `claims-landed` by name and status, the last one first."""
        return self.states.list_executions(stateMachineArn=self.outputs["ClaimsLandedArn"])["executions"]

    def executions(self) -> list[dict]:
        """All executions of `claims-landed`, the last one first. One that has ended is described once."""
        return [self._described(each["executionArn"]) for each in self.listed()]

    def _described(self, arn: str) -> dict:
        if arn in self.known:
            return self.known[arn]
        execution = self.states.describe_execution(executionArn=arn)
        if execution["status"] != "RUNNING":
            self.known[arn] = execution
        return execution

    def waiting(self, queue: str = "LandedFilesUrl") -> int:
        """Messages of a queue that nobody has received yet."""
        asked = {"QueueUrl": self.outputs[queue], "AttributeNames": ["ApproximateNumberOfMessages"]}
        return int(self.sqs.get_queue_attributes(**asked)["Attributes"]["ApproximateNumberOfMessages"])

    def land(self, key: str, content: bytes) -> dict:
        """Uploads a file, and returns the execution that it starts when that has ended."""
        before = len(self.landed(key))
        self.put(key, content)
        return wait_for(key, lambda: (ended := self.landed(key)) and len(ended) > before and ended[0])

    def steps(self, execution: dict) -> list[str]:
        """Names of the states that an execution has left, in order."""
        details = (event.get("stateExitedEventDetails") for event in self.history(execution))
        return [each["name"] for each in details if each]

    def history(self, execution: dict) -> list[dict]:
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution["executionArn"])
        return [event for page in pages for event in page["events"]]

    def invoke(self, function: str, event: dict) -> dict:
        name = f"rcm-{ENVIRONMENT}-{function}"
        answer = self.functions.invoke(FunctionName=name, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, f"{function}: {payload}"
        return payload

    # ---- What operators see ----

    def alerts(self) -> list[dict]:
        """Messages of alerts that have not been read yet: waits for one, then reads all."""
        taken: list[dict] = []
        while messages := self._receive(wait_seconds=0 if taken else 20):
            for message in messages:
                taken.append(json.loads(json.loads(message["Body"])["Message"]))
                self.sqs.delete_message(QueueUrl=self.alerts_queue, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def no_alert(self) -> bool:
        return not self._receive(wait_seconds=0)

    def _receive(self, wait_seconds: int) -> list[dict]:
        asked = {"QueueUrl": self.alerts_queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait_seconds}
        return self.sqs.receive_message(**asked).get("Messages", [])

    def log_lines(self) -> list[dict]:
        """The JSON lines that the functions have logged, oldest first."""
        group = f"/rcm/{ENVIRONMENT}/functions"
        pages = self.logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
        streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        events = [event for stream in streams for event in self._events(group, stream)]
        messages = (event["message"] for event in sorted(events, key=lambda event: event["timestamp"]))
        return [json.loads(message) for message in messages if message.startswith("{")]

    def _events(self, group: str, stream: str) -> list[dict]:
        """All events of a stream: of a whole group the stand-in returns the first ten thousand, and no more."""
        events: list[dict] = []
        asked = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        while (page := self.logs.get_log_events(**asked))["events"]:
            events += page["events"]
            asked["nextToken"] = page["nextForwardToken"]
        return events

    def metric(self, run: str, name: str, entity: str) -> dict | None:
        """The log line of a run with a metric of an entity; none if there is none yet."""
        lines = (line for line in self.log_lines() if name in line and line.get("run_id") == run)
        return next((line for line in lines if line["Entity"] == entity), None)

    def stages(self, run: str | None = None) -> set[str]:
        """The stages that have logged something, in a run or in any."""
        spans = (line.get("span", {}) for line in self.log_lines())
        return {span["stage"] for span in spans if "stage" in span and run in (None, span.get("run_id"))}
