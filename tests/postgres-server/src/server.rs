//! The server: its folder, its process and the statements of its owner.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use crate::programs::Programs;

/// Name of the only login of a new server that is not its owner. It may read nothing.
pub const USER: &str = "rcm_reader";
/// Its password.
pub const PASSWORD: &str = "correct horse";
/// The database that it may connect to.
pub const DATABASE: &str = "hospital";

const OWNER: &str = "owner";
/// What a server says when clients may connect.
const READY: &str = "database system is ready to accept connections";
/// Ports that are tried: another program may take one before the server does.
const TRIES: usize = 5;

/// A PostgreSQL of its own process. It ends when this value is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    programs: Programs,
    folder: TempDir,
    port: u16,
    process: Child,
    certificate: Option<String>,
}

/// The owner of a database, who may do everything in it.
#[derive(Debug, Clone)]
pub struct Owner(Config);

impl PostgresServer {
    /// Starts a server without TLS.
    pub async fn start() -> Self {
        Self::serve(false).await
    }

    /// Starts a server that accepts only encrypted connections, with a self-signed certificate of `localhost`.
    pub async fn start_with_tls() -> Self {
        Self::serve(true).await
    }

    async fn serve(with_tls: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let programs = Programs::find(folder.path());
        programs.hand_over(folder.path());
        let data = folder.path().join("data");
        initialize(&programs, &data);
        let host = if with_tls { "hostssl" } else { "host" };
        let access = format!("local all {OWNER} trust\n{host} all all samehost scram-sha-256\n");
        write(&programs, &data.join("pg_hba.conf"), &access);
        let certificate = with_tls.then(|| self_signed(&programs, &data));
        let (process, port) = (0..TRIES).find_map(|_| run(&programs, folder.path(), with_tls)).unwrap();
        let server = Self { programs, folder, port, process, certificate };
        server.owner_of("postgres").execute(&format!("CREATE DATABASE {DATABASE}")).await;
        server.execute(&format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")).await;
        server
    }

    /// Returns the port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its certificate for `localhost`, in PEM, if it supports TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Returns the owner of the database.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner_of(DATABASE)
    }

    /// Runs statements as the owner of the database.
    pub async fn execute(&self, statements: &str) {
        self.owner().execute(statements).await;
    }

    /// Returns the number that a statement of the owner has.
    pub async fn number(&self, statement: &str) -> i64 {
        self.owner().connected().await.query_one(statement, &[]).await.unwrap().get(0)
    }

    /// Changes the password of the login.
    pub async fn set_password(&self, password: &str) {
        self.execute(&format!("ALTER ROLE {USER} PASSWORD '{password}'")).await;
    }

    fn owner_of(&self, database: &str) -> Owner {
        let mut config = Config::new();
        config.host_path(self.folder.path()).port(self.port).user(OWNER).dbname(database);
        Owner(config)
    }
}

impl Owner {
    /// Runs statements.
    pub async fn execute(&self, statements: &str) {
        self.connected().await.batch_execute(statements).await.unwrap();
    }

    async fn connected(&self) -> Client {
        let (client, connection) = self.0.connect(NoTls).await.unwrap();
        // It ends with the client.
        tokio::spawn(async { drop(connection.await) });
        client
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let stop = ["stop", "--silent", "--mode=immediate", "--pgdata"];
        let stopped = self.programs.command("pg_ctl").args(stop).arg(self.folder.path().join("data")).status();
        if !stopped.is_ok_and(|status| status.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

fn initialize(programs: &Programs, data: &Path) {
    let mut command = programs.command("initdb");
    command.args(["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
    let made = command.args(["--username", OWNER, "--pgdata"]).arg(data).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Runs the server on a free port; none if another program has taken the port meanwhile.
fn run(programs: &Programs, folder: &Path, with_tls: bool) -> Option<(Child, u16)> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut command = programs.command("postgres");
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    command.args(["-p", &port.to_string(), "-c", "listen_addresses=localhost"]);
    // It is thrown away, and must not hold up others.
    let settings = ["fsync=off", "shared_buffers=16MB", "max_connections=40", "autovacuum=off", "wal_level=minimal"];
    for setting in settings.iter().chain(&["max_wal_senders=0", "jit=off"]).chain(with_tls.then_some(&"ssl=on")) {
        command.args(["-c", setting]);
    }
    let (process, lines) = spawn(&mut command);
    let mut said = String::new();
    for line in lines {
        if line.contains(READY) {
            return Some((process, port));
        }
        said += &line;
        said.push('\n');
    }
    assert!(said.contains("Address already in use") || said.contains("could not bind"), "{said}");
    None
}

/// Starts a process, and tells the lines that it says until it ends.
fn spawn(command: &mut Command) -> (Child, Receiver<String>) {
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = mpsc::channel();
    let said: BufReader<ChildStderr> = BufReader::new(process.stderr.take().unwrap());
    // What is said later goes nowhere, but it must be read, or the server would wait.
    std::thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    (process, lines)
}

fn self_signed(programs: &Programs, data: &Path) -> String {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(programs, &data.join("server.crt"), &cert.pem());
    write(programs, &data.join("server.key"), &signing_key.serialize_pem());
    cert.pem()
}

/// Writes a file that only the server's user may read.
fn write(programs: &Programs, path: &PathBuf, text: &str) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    programs.hand_over(path);
}
