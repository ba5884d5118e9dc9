"""The pipe of landed files. The stand-in keeps pipes and moves nothing through those of queues: this does.

It takes from the deployed queue what the rule has put there, and starts executions as the pipe of the template does: an
execution per batch, whose input is the list of the messages' bodies. A message is deleted when its execution has started.
It does so with the rights of the pipe's role.
"""

import json
import threading
import time

# Longest time that a request for messages waits for one.
WAIT_SECONDS = 1


class Pipe(threading.Thread):
    """Collects a batch until it is full, or until its first message has waited for the window."""

    def __init__(self, sqs, states, queue: str, machine: str, batch_size: int, window_seconds: float):
        super().__init__(daemon=True)
        self.sqs, self.states, self.queue, self.machine = sqs, states, queue, machine
        self.batch_size, self.window_seconds = batch_size, window_seconds
        self.runs, self.turn = threading.Event(), threading.Lock()
        self.received = 0
        self.failures: list[Exception] = []

    def run(self) -> None:
        while True:
            self.runs.wait()
            with self.turn:
                try:
                    if batch := self._collect():
                        self._start(batch)
                except Exception as error:  # The messages come again, as to the real pipe.
                    self.failures.append(error)

    def stop(self) -> None:
        """Stops it after what it has received."""
        self.runs.clear()
        with self.turn:
            pass

    def is_busy(self) -> bool:
        """Whether it has received messages that no execution has been started for."""
        return self.received > 0

    def _collect(self) -> list[dict]:
        batch: list[dict] = []
        until = None
        while len(batch) < self.batch_size and self.runs.is_set():
            wanted = min(10, self.batch_size - len(batch))
            received = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=wanted, WaitTimeSeconds=WAIT_SECONDS)
            batch += received.get("Messages", [])
            self.received = len(batch)
            if batch and until is None:
                until = time.monotonic() + self.window_seconds
            if until is not None and time.monotonic() >= until:
                break
        return batch

    def _start(self, batch: list[dict]) -> None:
        bodies = [json.loads(message["Body"]) for message in batch]
        self.states.start_execution(stateMachineArn=self.machine, input=json.dumps(bodies))
        for message in batch:
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        self.received = 0
