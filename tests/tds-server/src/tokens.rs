//! Tokens of a response that have no rows, as defined in MS-TDS 2.2.7.

use crate::encode::{b_varchar, us_varchar};

/// TDS 7.4, the version that the server announces.
const TDS_VERSION: u32 = 0x7400_0004;

/// An error in the form of SQL Server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    pub number: u32,
    /// Severity; 20 or more ends the connection.
    pub class: u8,
    pub message: String,
}

impl SqlError {
    /// Returns an error with a number and a severity.
    #[must_use]
    pub fn new(number: u32, class: u8, message: &str) -> Self {
        Self { number, class, message: message.to_owned() }
    }
}

/// The kind of the last token of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// End of a batch.
    Batch,
    /// End of a procedure, such as `sp_executesql`.
    Procedure,
}

fn token(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend((body.len() as u16).to_le_bytes());
    out.extend(body);
}

pub(crate) fn login_ack(out: &mut Vec<u8>) {
    let mut body = vec![1];
    body.extend(TDS_VERSION.to_be_bytes());
    b_varchar("Microsoft SQL Server", &mut body);
    body.extend([16, 0, 0, 0]);
    token(0xAD, &body, out);
}

pub(crate) fn packet_size(size: u32, out: &mut Vec<u8>) {
    let mut body = vec![4];
    b_varchar(&size.to_string(), &mut body);
    b_varchar("4096", &mut body);
    token(0xE3, &body, out);
}

/// Writes a token that redirects the client to another server.
pub(crate) fn routing(host: &str, port: u16, out: &mut Vec<u8>) {
    let mut place = vec![0];
    place.extend(port.to_le_bytes());
    us_varchar(host, &mut place);
    let mut body = vec![20];
    body.extend((place.len() as u16).to_le_bytes());
    body.extend(place);
    body.extend([0, 0]);
    token(0xE3, &body, out);
}

pub(crate) fn error(error: &SqlError, out: &mut Vec<u8>) {
    let mut body = error.number.to_le_bytes().to_vec();
    body.extend([1, error.class]);
    us_varchar(&error.message, &mut body);
    b_varchar("tds-server", &mut body);
    b_varchar("", &mut body);
    body.extend(1_u32.to_le_bytes());
    token(0xAA, &body, out);
}

/// Writes the last token of a response; `rows` is `None` if the statement failed or has no rows.
pub(crate) fn done(end: End, rows: Option<u64>, has_failed: bool, out: &mut Vec<u8>) {
    let count = if rows.is_some() { 0x10 } else { 0 };
    let failed = if has_failed { 0x02 } else { 0 };
    match end {
        End::Batch => done_token(0xFD, count | failed, rows, out),
        End::Procedure => {
            done_token(0xFF, count | failed | 0x01, rows, out);
            out.push(0x79);
            out.extend(i32::from(has_failed).to_le_bytes());
            done_token(0xFE, failed, None, out);
        }
    }
}

fn done_token(kind: u8, status: u16, rows: Option<u64>, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(status.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out.extend(rows.unwrap_or_default().to_le_bytes());
}
