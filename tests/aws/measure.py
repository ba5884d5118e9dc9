"""Measures every function as Lambda would run it and the cost of a run, and prints both as Markdown.

    measure.py EXECUTABLES SOURCES

EXECUTABLES has an executable per function, built with `cargo build --release --workspace --bins`. SOURCES
has `emr/` and `landing/`. The functions are hosted by a Lambda runtime of this script and work on a lake
in S3, which is the stand-in behind a proxy that counts requests. Figures are of the machine that it runs on.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import boto3

sys.path.insert(0, str(Path(__file__).parent / "deployed"))
from stand_in import REGION, ROOT, TOOLS, free_port  # noqa: E402

AS_OF = "2024-11-07"
BUCKET = "lake"
LONGEST_START_SECONDS = 60
# US dollars in us-east-1: Lambda on arm64, S3 Standard, Step Functions (standard workflows).
PER_GB_SECOND = 0.0000133334
PER_INVOCATION = 0.20 / 1e6
PER_WRITE, PER_READ = 0.005 / 1000, 0.0004 / 1000
PER_TRANSITION = 0.025 / 1000
COLD_STARTS = 5


def serve(handler) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        # A function that is measured is killed, whatever it waits for.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes = b"", headers=()) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Function:
    """A function's executable and the Lambda runtime API from which it requests events."""

    def __init__(self, executable: Path, environment: dict):
        self.events, self.answers, self.asked = Queue(), Queue(), threading.Event()
        function = self

        class Runtime(Quiet):
            def do_GET(self):
                function.asked.set()
                event = function.events.get()
                deadline = str(int((time.time() + 900) * 1000))
                headers = [("Lambda-Runtime-Aws-Request-Id", "1"), ("Lambda-Runtime-Deadline-Ms", deadline)]
                headers.append(("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x"))
                self.answer(200, json.dumps(event).encode(), headers)

            def do_POST(self):
                function.answers.put((self.path.endswith("/response"), self.body()))
                self.answer(202)

        self.server = serve(Runtime)
        name = executable.name
        of_lambda = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_LOG_GROUP_NAME": "x",
            "AWS_LAMBDA_LOG_STREAM_NAME": "x",
        }
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [executable], env=environment | of_lambda, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self.asked.wait(LONGEST_START_SECONDS), f"{name} asks for no event"
        self.cold_start = time.perf_counter() - started

    def call(self, event: dict) -> tuple[dict, float]:
        started = time.perf_counter()
        self.events.put(event)
        succeeded, body = self.answers.get()
        seconds = time.perf_counter() - started
        assert succeeded, body.decode()
        return json.loads(body), seconds

    def peak_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.server.shutdown()


def counting_proxy(target: int, counts: Counter) -> ThreadingHTTPServer:
    class Proxy(Quiet):
        def forward(self):
            counts["read" if self.command in ("GET", "HEAD") and "list-type" not in self.path else "write"] += 1
            connection = HTTPConnection("127.0.0.1", target)
            connection.request(self.command, self.path, self.body(), dict(self.headers))
            response = connection.getresponse()
            body = response.read()
            dropped = {"content-length", "transfer-encoding", "connection"}
            headers = [(name, value) for name, value in response.getheaders() if name.lower() not in dropped]
            if self.command == "HEAD":
                self.send_response(response.status)
                for name, value in response.getheaders():
                    self.send_header(name, value)
                self.end_headers()
            else:
                self.answer(response.status, body, headers)
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

    return serve(Proxy)


def memory_sizes() -> dict[str, int]:
    """Megabytes that the template gives each function."""
    template = (ROOT / "infra/aws/template.yaml").read_text()
    default = int(re.search(r"Globals:.*?MemorySize: (\d+)", template, re.S)[1])
    sizes = {}
    for block in re.split(r"\n  (?=\w+:\n    Type: AWS::Serverless::Function\n)", template)[1:]:
        folder = re.search(r"CodeUri: \.\./\.\./functions/([\w-]+)", block)[1]
        own = re.search(r"MemorySize: (\d+)", block.split("\n    Type:")[1])
        sizes[folder] = int(own[1]) if own else default
    return sizes


def zipped_megabytes(executable: Path, folder: Path) -> float:
    path = folder / f"{executable.name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(executable, "bootstrap")
    return path.stat().st_size / 1e6


def transitions(plan: dict) -> int:
    """State transitions of an execution in which nothing fails: see pipeline.asl.json."""
    per_item = len(plan["extracts"]) + len(plan["files"])
    around = len(["Start", "Plan", "Bronze", "BronzeDone", "SilverTables", "Silver", "CanGoldBeTrusted", "Summary", "AnyFailure", "Done"])
    branches = len(["Extracts", "LandedFiles", "NpiPull", "IcdPull"])
    return around + branches + per_item + 9 + len(["GoldDimensions", "GoldFacts", "GoldKpis", "GoldReport", "Audit"])


def main(executables: Path, sources: Path) -> None:
    counts: Counter = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        environment = {"PATH": os.environ["PATH"], "HOME": name, "TMPDIR": name}
        settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
        store = subprocess.Popen(
            [TOOLS / "stand-ins/bin/ministack"],
            env=environment | settings,
            cwd=name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            s3 = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            fill(s3, sources)
            proxy = counting_proxy(port, counts)
            environment |= {
                "LAKE_URL": f"s3://{BUCKET}",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": REGION,
            }
            report(executables, environment, counts, folder)
        finally:
            store.kill()
            store.wait()


def fill(s3, sources: Path) -> None:
    started = time.monotonic()
    while True:
        try:
            s3.create_bucket(Bucket=BUCKET)
            break
        except Exception:
            assert time.monotonic() - started < LONGEST_START_SECONDS, "the stand-in does not start"
            time.sleep(0.2)
    for folder, prefix in [(ROOT / "infra/config", "configs"), (sources / "emr", "emr"), (sources / "landing", "landing")]:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())


def report(executables: Path, environment: dict, counts: Counter, folder: Path) -> None:
    sizes = memory_sizes()
    rows: dict[str, list] = {}
    for name in sizes:
        starts = []
        for _ in range(COLD_STARTS):
            function = Function(executables / name, environment)
            starts.append(function.cold_start)
            function.stop()
        rows[name] = [zipped_megabytes(executables / name, folder), sorted(starts)[COLD_STARTS // 2]]

    runs = []
    for _ in ("first run", "second run, nothing new"):
        counts.clear()
        seconds, peaks, calls = Counter(), {}, Counter()

        def call(name: str, events: list[dict]) -> list[dict]:
            function = Function(executables / name, environment)
            answers = []
            for event in events:
                answer, took = function.call(event)
                answers.append(answer)
                seconds[name] += took
                calls[name] += 1
            peaks[name] = function.peak_megabytes()
            function.stop()
            return answers

        [plan] = call("plan", [{"as_of": AS_OF}])
        of_run = {"run_id": plan["run_id"], "as_of": plan["as_of"]}
        call("emr-extract", plan["extracts"])
        if plan["files"]:
            call("landing-to-bronze", plan["files"])
        for name in sizes:
            if name.endswith("-pull") or name.startswith("silver-"):
                call(name, [of_run])
        for name in ("gold-dimensions", "gold-facts", "gold-kpis", "gold-report", "audit"):
            call(name, [of_run])
        runs.append((seconds.copy(), dict(peaks), calls.copy(), dict(counts), transitions(plan)))
    call("maintenance", [{}])
    print_tables(rows, sizes, runs, peaks["maintenance"], seconds["maintenance"])


def print_tables(rows, sizes, runs, maintenance_peak: float, maintenance_seconds: float) -> None:
    first = runs[0]
    print("| function | zipped | memory | cold start | calls | seconds | peak memory |\n|---|---|---|---|---|---|---|")
    for name in sorted(sizes):
        zipped, cold = rows[name]
        seconds, peak, calls = first[0].get(name, 0), first[1].get(name, 0), first[2].get(name, 0)
        if name == "maintenance":
            seconds, peak, calls = maintenance_seconds, maintenance_peak, 1
        line = [name, f"{zipped:.1f} MB", f"{sizes[name]} MB", f"{cold * 1000:.0f} ms", str(calls)]
        print("| " + " | ".join([*line, f"{seconds:.2f}", f"{peak:.0f} MB"]) + " |")
    print("\n| | first run | second run, nothing new |\n|---|---|---|")
    figures = []
    for seconds, _, calls, counts, entered in runs:
        # A cold start is billed too.
        billed = {name: seconds[name] + rows[name][1] for name in calls}
        gigabyte_seconds = sum(sizes[name] / 1024 * billed[name] for name in calls)
        functions = gigabyte_seconds * PER_GB_SECOND + sum(calls.values()) * PER_INVOCATION
        storage = counts.get("write", 0) * PER_WRITE + counts.get("read", 0) * PER_READ
        machine = entered * PER_TRANSITION
        figures.append([
            ("GB-seconds", f"{gigabyte_seconds:.1f}"),
            ("invocations", str(sum(calls.values()))),
            ("S3 writes and lists", str(counts.get("write", 0))),
            ("S3 reads", str(counts.get("read", 0))),
            ("state transitions", str(entered)),
            ("Lambda", f"${functions:.5f}"),
            ("S3 requests", f"${storage:.5f}"),
            ("Step Functions", f"${machine:.5f}"),
            ("together", f"${functions + storage + machine:.5f}"),
        ])
    for (name, one), (_, other) in zip(*figures):
        print(f"| {name} | {one} | {other} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
