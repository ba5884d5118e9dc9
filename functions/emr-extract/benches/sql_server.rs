//! Rows per second and peak memory of an extract, beside those of the driver alone.
//!
//! `cargo bench -p emr-extract --bench sql_server -- --rows 2000000 --shards 1`
//!
//! The transactions table comes from a server in a process of its own, over a socket of this
//! machine. The driver alone reads the same answer and drops its rows. Each of the two runs in a
//! process of its own too, so that each has its own peak.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends where it cannot go on")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use futures::TryStreamExt;
use rcm_model::event::ExtractInput;
use rcm_model::load_config::{LoadRow, LoadType};
use rcm_platform::testing::TestLake;
use tds_server::{Column, PASSWORD, Row, TdsServer, Type, USER, Value};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, QueryItem};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

/// Rows that the server makes; it sends them again and again.
const BLOCK: u64 = 100_000;
/// Most memory that an extract of a table of any length may take, in MB.
const MEMORY_LIMIT: f64 = 256.0;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let rows = number("--rows").unwrap_or(2_000_000).div_ceil(BLOCK) * BLOCK;
    if arguments.iter().any(|argument| argument == "--serve") {
        return serve(rows).await;
    }
    let (port, shards) = (number("--port").unwrap_or_default() as u16, number("--shards").unwrap_or(1));
    match arguments.iter().find(|argument| ["--drop", "--extract"].contains(&argument.as_str())).map(String::as_str) {
        Some("--drop") => Box::pin(report("driver alone", rows, drop_rows(port))).await,
        Some(_) => report("emr-extract", rows, extract(port, shards)).await,
        None => compare(rows, shards),
    }
}

/// Starts the server and, one after the other, the two that read from it.
fn compare(rows: u64, shards: u64) {
    let arguments = ["--rows".to_owned(), rows.to_string(), "--shards".to_owned(), shards.to_string()];
    let mut server = start(&[&["--serve".to_owned()][..], &arguments].concat(), Stdio::piped());
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = ["--port".to_owned(), line.trim().to_owned()];
    println!("{rows} rows of {} columns", transaction_columns().len());
    for reader in ["--drop", "--extract"] {
        let mut child = start(&[&[reader.to_owned()][..], &arguments, &port].concat(), Stdio::inherit());
        assert!(child.wait().unwrap().success());
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

fn start(arguments: &[String], stdout: Stdio) -> Child {
    Command::new(std::env::current_exe().unwrap()).args(arguments).stdout(stdout).spawn().unwrap()
}

async fn serve(rows: u64) {
    let server = TdsServer::start().await;
    server.create("dbo.transactions", transaction_columns());
    server.insert("dbo.transactions", (0..BLOCK).map(transaction));
    server.repeat("dbo.transactions", rows / BLOCK);
    println!("{}", server.port());
    std::future::pending::<()>().await;
}

async fn report(name: &str, rows: u64, read: impl Future<Output = u64>) {
    let started = Instant::now();
    assert_eq!(read.await, rows);
    let seconds = started.elapsed().as_secs_f64();
    let peak = peak_megabytes();
    println!("{name:14} {seconds:6.1} s {:10.0} rows/s {peak:7.0} MB at most", rows as f64 / seconds);
    assert!(peak < MEMORY_LIMIT, "more than {MEMORY_LIMIT} MB");
}

/// Reads the rows as the driver gives them and drops them.
async fn drop_rows(port: u16) -> u64 {
    let mut config = Config::new();
    config.host("localhost");
    config.port(port);
    config.authentication(AuthMethod::sql_server(USER, PASSWORD));
    config.encryption(EncryptionLevel::NotSupported);
    config.packet_size(16_000);
    let tcp = TcpStream::connect(config.get_addr()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut client = Client::connect(config, tcp.compat_write()).await.unwrap();
    let mut answer = client.query("SELECT * FROM dbo.transactions", &[]).await.unwrap();
    let mut rows = 0;
    while let Some(item) = answer.try_next().await.unwrap() {
        rows += u64::from(matches!(item, QueryItem::Row(_)));
    }
    rows
}

/// Makes a load of the rows in a lake of its own.
async fn extract(port: u16, shards: u64) -> u64 {
    let lake = TestLake::new();
    let secret = format!(
        "{{\"host\": \"localhost\", \"port\": {port}, \"username\": \"{USER}\", \"password\": \"{PASSWORD}\"}}"
    );
    lake.write("secrets.json", format!("{{\"db-a\": {secret}}}"));
    lake.edit("configs/sources.toml", "kind = \"files\"", "kind = \"sql_server\"");
    let own = format!(
        "\n[emr.sql_server.databases.db-a]\nencrypt = \"off\"\n[emr.streams.\"hosa/transactions\"]\nshards = {shards}\n"
    );
    lake.write("configs/sources.toml", lake.read("configs/sources.toml") + &own);
    let mut context = lake.context().await;
    context.environment.emr_dir = None;
    context.environment.secrets_file = Some(lake.path("secrets.json"));
    let row = LoadRow {
        database: "db-a".to_owned(),
        datasource: "hos-a".to_owned(),
        tablename: "dbo.transactions".to_owned(),
        loadtype: LoadType::Full,
        watermark: String::new(),
        is_active: true,
        targetpath: "hosa".to_owned(),
    };
    let input = ExtractInput { run_id: "benchmark".to_owned(), row, force: false };
    emr_extract::handle(context, input).await.expect("the extract ends well").loads[0].read
}

/// The most memory that this process has had, in MB.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    kilobytes.map_or(f64::NAN, |kilobytes: f64| kilobytes / 1024.0)
}

/// The transactions table as the sample hospitals have it.
fn transaction_columns() -> Vec<Column> {
    let text = |name: &str| Column::new(name, Type::NVarChar(50));
    let date = |name: &str| Column::new(name, Type::Date);
    let amount = |name: &str| Column::new(name, Type::Decimal(18, 2));
    vec![
        Column::required("TransactionID", Type::NVarChar(50)),
        text("EncounterID"),
        text("PatientID"),
        text("ProviderID"),
        text("DeptID"),
        date("VisitDate"),
        date("ServiceDate"),
        date("PaidDate"),
        text("VisitType"),
        amount("Amount"),
        text("AmountType"),
        amount("PaidAmount"),
        text("ClaimID"),
        text("PayorID"),
        Column::new("ProcedureCode", Type::Int),
        text("ICDCode"),
        text("LineOfBusiness"),
        text("MedicaidID"),
        text("MedicareID"),
        Column::new("InsertDate", Type::DateTime2(3)),
        Column::new("ModifiedDate", Type::DateTime2(3)),
    ]
}

/// A made-up transaction; its numbers look as if they were drawn.
fn transaction(number: u64) -> Row {
    let drawn =
        |salt: u64, below: u64| (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(salt as u32) % below;
    let id = |prefix: &str, value: u64| Value::Text(format!("{prefix}{value:06}"));
    let day = |salt: u64| Value::date(&format!("2024-{:02}-{:02}", 1 + drawn(salt, 12), 1 + drawn(salt + 1, 28)));
    let moment = |salt: u64| {
        let clock = (1 + drawn(salt, 12), 1 + drawn(salt + 1, 28), drawn(salt + 2, 24), drawn(salt + 3, 60));
        Value::moment(&format!("2024-{:02}-{:02} {:02}:{:02}:00", clock.0, clock.1, clock.2, clock.3))
    };
    let among = |salt: u64, words: &[&str]| Value::from(words[drawn(salt, words.len() as u64) as usize]);
    vec![
        id("TRANS", number),
        id("ENC", drawn(1, 500_000)),
        id("HOSP1-", drawn(2, 100_000)),
        id("PROV", drawn(3, 500)),
        id("DEPT", drawn(4, 20)),
        day(5),
        day(7),
        if drawn(9, 5) == 0 { Value::Null } else { day(10) },
        among(12, &["Routine", "Emergency", "Follow-up", "Consultation"]),
        Value::Decimal(i128::from(drawn(13, 100_000)), 2),
        among(14, &["Co-pay", "Insurance", "Medicaid", "Medicare"]),
        Value::Decimal(i128::from(drawn(15, 100_000)), 2),
        id("CLAIM", drawn(16, 1_000_000)),
        id("PAYOR", drawn(17, 30)),
        Value::Int(10_000 + drawn(18, 89_999) as i64),
        Value::Text(format!("I{:02}.{}", drawn(19, 99), drawn(20, 9))),
        among(21, &["Commercial", "Medicaid", "Medicare", "Self-pay"]),
        id("MEDI", drawn(22, 1_000_000)),
        id("MCARE", drawn(23, 1_000_000)),
        moment(24),
        moment(30),
    ]
}
