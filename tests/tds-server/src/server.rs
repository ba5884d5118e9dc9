//! The server: its tables, its logins and the requests that it has received.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fault::{Fault, Faults};
use crate::login::Login;
use crate::session;
use crate::tls::Tls;
use crate::types::{Column, Type};
use crate::value::{Row, Value};

/// Name of the only login of a new server.
pub const USER: &str = "rcm_reader";
/// Its password.
pub const PASSWORD: &str = "correct horse";

/// A SQL Server in this process. It ends when this value is dropped.
#[derive(Debug)]
pub struct TdsServer {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// A table: its columns and rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Arc<Vec<Row>>,
    /// Number of times that the rows are sent, one after the other.
    pub(crate) times: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    tables: Mutex<BTreeMap<String, Table>>,
    users: Mutex<BTreeMap<String, String>>,
    logins: Mutex<Vec<Login>>,
    statements: Mutex<Vec<String>>,
    pub(crate) faults: Faults,
    pub(crate) tls: Option<Tls>,
}

impl TdsServer {
    /// Starts a server without TLS.
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// Starts a server that accepts only encrypted connections, with a self-signed certificate.
    pub async fn start_with_tls() -> Self {
        Self::serve(Some(Tls::self_signed())).await
    }

    async fn serve(tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            tables: Mutex::default(),
            users: Mutex::new(BTreeMap::from([(USER.to_owned(), PASSWORD.to_owned())])),
            logins: Mutex::default(),
            statements: Mutex::default(),
            faults: Faults::default(),
            tls,
        });
        let served = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away in the middle is none of the server's business.
                tokio::spawn(session::serve(stream, Arc::clone(&served)));
            }
        });
        let started = Self { port, state, task };
        started.create(
            "sys.databases",
            [Column::new("database_id", Type::Int), Column::new("snapshot_isolation_state", Type::TinyInt)],
        );
        started.insert("sys.databases", [vec![Value::Int(1), Value::Int(0)]]);
        started
    }

    /// Returns the port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its certificate for `localhost`, in PEM, if it supports TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.state.tls.as_ref().map(Tls::certificate)
    }

    /// Creates or replaces a table, such as `dbo.patients`.
    pub fn create(&self, name: &str, columns: impl IntoIterator<Item = Column>) {
        let table = Table { columns: columns.into_iter().collect(), rows: Arc::default(), times: 1 };
        lock(&self.state.tables).insert(key(name), table);
    }

    /// Adds rows to a table.
    pub fn insert(&self, name: &str, rows: impl IntoIterator<Item = Row>) {
        let mut tables = lock(&self.state.tables);
        let table = tables.get_mut(&key(name)).unwrap();
        let kinds: Vec<Type> = table.columns.iter().map(|column| column.kind).collect();
        let stored = |row: Row| row.into_iter().zip(&kinds).map(|(value, kind)| value.stored(*kind)).collect();
        Arc::make_mut(&mut table.rows).extend(rows.into_iter().map(stored));
    }

    /// Removes the rows of a table.
    pub fn clear(&self, name: &str) {
        lock(&self.state.tables).get_mut(&key(name)).unwrap().rows = Arc::default();
    }

    /// Sends the rows of a table several times, one after the other, for long responses.
    pub fn repeat(&self, name: &str, times: u64) {
        lock(&self.state.tables).get_mut(&key(name)).unwrap().times = times;
    }

    /// Allows snapshot isolation, as `ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON` does.
    pub fn allow_snapshots(&self) {
        self.clear("sys.databases");
        self.insert("sys.databases", [vec![Value::Int(1), Value::Int(1)]]);
    }

    /// Changes the password of the login.
    pub fn set_password(&self, password: &str) {
        lock(&self.state.users).insert(USER.to_owned(), password.to_owned());
    }

    /// Adds a fault, which happens once.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Returns the login attempts, in order.
    #[must_use]
    pub fn logins(&self) -> Vec<Login> {
        lock(&self.state.logins).clone()
    }

    /// Returns the statements that were received, in order.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        lock(&self.state.statements).clone()
    }
}

impl Drop for TdsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Records a login attempt, and returns whether its password is right.
    pub(crate) fn admits(&self, login: &Login) -> bool {
        lock(&self.logins).push(login.clone());
        lock(&self.users).get(&login.user) == Some(&login.password)
    }

    pub(crate) fn note(&self, statement: &str) {
        lock(&self.statements).push(statement.to_owned());
    }

    /// Returns the table with a name in parts; the default schema is `dbo`.
    pub(crate) fn table(&self, parts: &[String]) -> Option<Table> {
        lock(&self.tables).get(&key(&parts.join("."))).cloned()
    }
}

/// Normalizes a name: case is ignored, and the schema `dbo` is optional.
fn key(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_prefix("dbo.").map_or_else(|| name.clone(), str::to_owned)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
