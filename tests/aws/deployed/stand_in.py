"""A stand-in for AWS on this machine: ministack, which runs the binaries of the functions."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import trustme
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "target/tools"
ACCOUNT = "123456789012"
REGION = "us-east-1"
LONGEST_START_SECONDS = 60
PAUSE_SECONDS = 0.2


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class StandIn:
    """Uses TLS, which the policies of the lakehouse require, and enforces IAM."""

    def __init__(self, folder: Path):
        port = free_port()
        endpoint = f"https://127.0.0.1:{port}"
        authority, key, certificate = folder / "authority.pem", folder / "key.pem", folder / "certificate.pem"
        issuer = trustme.CA()
        issued = issuer.issue_cert("127.0.0.1", "localhost")
        issuer.cert_pem.write_to_path(authority)
        issued.private_key_pem.write_to_path(key)
        for part in issued.cert_chain_pems:
            part.write_to_path(certificate, append=True)
        # The functions inherit what the stand-in is started with: nothing else may reach them.
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CA_BUNDLE": str(authority),
            "SSL_CERT_FILE": str(authority),
            "REQUESTS_CA_BUNDLE": str(authority),
        }
        settings = {
            "AUTH": "true",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "LAMBDA_EXECUTOR": "local",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(certificate),
            "MINISTACK_SSL_KEY": str(key),
        }
        self.log = folder / "stand-in.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [TOOLS / "stand-ins/bin/ministack"],
                cwd=folder,
                env=self.environment | settings,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.session = boto3.Session("test", "test", region_name=REGION)
        self.endpoint, self.authority = endpoint, authority
        self._wait()

    def client(self, service: str, session: boto3.Session | None = None, config: Config | None = None):
        session = session or self.session
        return session.client(service, endpoint_url=self.endpoint, verify=str(self.authority), config=config)

    def _wait(self) -> None:
        started = time.monotonic()
        while True:
            try:
                self.client("sts").get_caller_identity()
                return
            except (BotoCoreError, ClientError) as error:
                ended = self.process.poll()
                if ended is not None or time.monotonic() - started > LONGEST_START_SECONDS:
                    sys.exit(f"the stand-in does not start ({ended}): {error}\n{self.log.read_text()}")
                time.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """Ends it and the functions that it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
