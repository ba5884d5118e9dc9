//! SeaweedFS, a server with atomic conditional puts like S3.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcm_platform::Lake;
use rcm_platform::config::StoreEnvironment;
use tempfile::TempDir;

/// Path of the server that `tests/aws/install-tools.sh stand-ins` installs.
const WEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/stand-ins/bin/weed");
/// Time limit for the server to accept requests.
const LONGEST_START: Duration = Duration::from_mins(3);
/// Time limit for a response.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// Maximum number of starts, each on other ports.
const STARTS: usize = 3;
const BUCKET: &str = "lake";

/// A server with one bucket. It ends when this value is dropped.
pub(crate) struct SeaweedFs {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl SeaweedFs {
    pub(crate) fn start() -> Self {
        let started = (0..STARTS).find_map(|_| Self::start_once());
        started.unwrap_or_else(|| panic!("the server has ended {STARTS} times before it took requests"))
    }

    /// Starts a server. Returns `None` if it ends before it accepts requests, for example because another process has
    /// taken one of its ports.
    fn start_once() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let flags =
            ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"];
        let flags = flags.iter().chain(&["s3.port", "s3.port.grpc"]).zip(ports);
        let server = Command::new(WEED)
            .arg("server")
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=50"])
            .arg(format!("-dir={}", folder.path().display()))
            .args(flags.map(|(flag, port)| format!("-{flag}={port}")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{WEED}: {error}; tests/aws/install-tools.sh stand-ins installs it"));
        let mut started = Self { server, port: ports[6], _folder: folder };
        let start = Instant::now();
        while !started.has_bucket() {
            if started.server.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(start.elapsed() < LONGEST_START, "the server takes no requests");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(started)
    }

    /// Creates the bucket; returns whether the server has it, also if the response of an earlier request was too late.
    fn has_bucket(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        connection.set_read_timeout(Some(LONGEST_ANSWER)).unwrap();
        let request =
            format!("PUT /{BUCKET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let answered = connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut answer));
        answered.is_ok() && ["HTTP/1.1 200", "HTTP/1.1 409"].iter().any(|status| answer.starts_with(status))
    }

    /// Opens the lake with its own connections, like a function.
    pub(crate) fn lake(&self) -> Lake {
        self.lake_at(&self.url(""))
    }

    /// A lake below the bucket.
    pub(crate) fn lake_at(&self, url: &str) -> Lake {
        let aws = self.variables().map(|(name, value)| (name.to_owned(), value)).to_vec();
        Lake::open_with(url, &StoreEnvironment { aws, kms_keys: Vec::new() }).unwrap()
    }

    /// The address of a lake below the bucket.
    #[expect(clippy::unused_self, reason = "there is no such lake without a server")]
    pub(crate) fn url(&self, folder: &str) -> String {
        format!("s3://{BUCKET}/{folder}")
    }

    /// Returns the environment variables that a process needs to use the server.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn free_ports() -> [u16; 8] {
    let listeners = [(); 8].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
