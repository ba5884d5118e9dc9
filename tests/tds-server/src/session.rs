//! One connection, from its pre-login to its end.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;

use crate::encode;
use crate::fault::Fault;
use crate::login::{self, Encryption};
use crate::packet::{self, Answer, kind};
use crate::rpc::{self, Call};
use crate::server::{State, Table};
use crate::sql::{self, Selection};
use crate::tls;
use crate::tokens::{self, End, SqlError};
use crate::value::{Row, Value};

const DEFAULT_PACKET_SIZE: usize = 4096;
const BUFFER: usize = 128 * 1024;

pub(crate) async fn serve(stream: TcpStream, state: Arc<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufStream::with_capacity(BUFFER, BUFFER, stream);
    let Some((kind::PRE_LOGIN, _)) = packet::read(&mut stream).await? else { return Ok(()) };
    let encryption = if state.tls.is_some() { Encryption::Required } else { Encryption::NotSupported };
    let mut answer = Answer::new(&mut stream, DEFAULT_PACKET_SIZE);
    answer.bytes.extend(login::pre_login(encryption));
    answer.finish().await?;
    match &state.tls {
        None => converse(stream, &state).await,
        Some(tls) => converse(tls::accept(tls, stream).await?, &state).await,
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) -> io::Result<()> {
    let Some((kind::LOGIN7, message)) = packet::read(&mut stream).await? else { return Ok(()) };
    let Some(packet_size) = log_in(&mut stream, state, &message).await? else { return Ok(()) };
    while let Some((kind, message)) = packet::read(&mut stream).await? {
        let (end, call) = match kind {
            kind::BATCH => (End::Batch, Call { statement: rpc::read_batch(&message)?, parameters: Vec::new() }),
            kind::RPC => (End::Procedure, rpc::read_call(&message)?),
            _ => return Ok(()),
        };
        state.note(&call.statement);
        let answer = Answer::new(&mut stream, packet_size);
        if !respond(answer, state, end, &call).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Responds to a login; returns the packet size if the login succeeds.
async fn log_in<S: AsyncWrite + Unpin>(stream: &mut S, state: &State, message: &[u8]) -> io::Result<Option<usize>> {
    let login = login::read(message, state.tls.is_some())?;
    let is_admitted = state.admits(&login);
    let refusal = match state.faults.take(|fault| matches!(fault, Fault::LoginFails(_) | Fault::LoginIsRouted(_))) {
        Some(Fault::LoginFails(error)) => Some(error),
        Some(Fault::LoginIsRouted(port)) => {
            let mut answer = Answer::new(stream, DEFAULT_PACKET_SIZE);
            tokens::login_ack(&mut answer.bytes);
            tokens::routing("127.0.0.1", port, &mut answer.bytes);
            tokens::done(End::Batch, None, false, &mut answer.bytes);
            answer.finish().await?;
            return Ok(None);
        }
        _ => (!is_admitted).then(|| SqlError::new(18456, 14, &format!("Login failed for user '{}'.", login.user))),
    };
    let mut answer = Answer::new(stream, DEFAULT_PACKET_SIZE);
    if let Some(error) = refusal {
        tokens::error(&error, &mut answer.bytes);
        tokens::done(End::Batch, None, true, &mut answer.bytes);
        answer.finish().await?;
        return Ok(None);
    }
    tokens::login_ack(&mut answer.bytes);
    tokens::packet_size(login.packet_size, &mut answer.bytes);
    tokens::done(End::Batch, None, false, &mut answer.bytes);
    answer.finish().await?;
    Ok(Some(login.packet_size as usize))
}

/// Responds to a statement; returns false if the connection ends with it.
async fn respond<S: AsyncWrite + Unpin>(
    mut answer: Answer<'_, S>,
    state: &State,
    end: End,
    call: &Call,
) -> io::Result<bool> {
    let is_here = |text: &str| call.statement.contains(text);
    if let Some(Fault::StatementWaits(_, time)) =
        state.faults.take(|fault| matches!(fault, Fault::StatementWaits(text, _) if is_here(text)))
    {
        tokio::time::sleep(time).await;
    }
    let failure = state.faults.take(|fault| matches!(fault, Fault::StatementFails(text, _) if is_here(text)));
    let found = match failure {
        Some(Fault::StatementFails(_, error)) => Err(error),
        _ if call.statement.starts_with("SET ") => Ok(None),
        _ => select(state, call).map(Some),
    };
    match found {
        Ok(None) => tokens::done(end, None, false, &mut answer.bytes),
        Ok(Some((selection, times))) => return send_rows(answer, state, end, &selection, times).await,
        Err(error) => {
            tokens::error(&error, &mut answer.bytes);
            tokens::done(end, None, true, &mut answer.bytes);
            let is_fatal = error.class >= 20;
            answer.finish().await?;
            return Ok(!is_fatal);
        }
    }
    answer.finish().await?;
    Ok(true)
}

/// Returns the rows of a statement, and the number of times that they are sent.
fn select(state: &State, call: &Call) -> Result<(Selection, u64), SqlError> {
    let select = sql::parse(&call.statement)?;
    let missing = || SqlError::new(208, 16, &format!("Invalid object name '{}'.", select.table.join(".")));
    let Table { columns, rows, times } = state.table(&select.table).ok_or_else(missing)?;
    Ok((sql::select(&select, &columns, &rows, &call.parameters)?, times))
}

async fn send_rows<S: AsyncWrite + Unpin>(
    mut answer: Answer<'_, S>,
    state: &State,
    end: End,
    selection: &Selection,
    times: u64,
) -> io::Result<bool> {
    encode::column_metadata(&selection.columns, &mut answer.bytes);
    let total = selection.rows.len() as u64 * times;
    let fault = state.faults.take(|fault| match fault {
        Fault::RowsFail(after, _) | Fault::ConnectionBreaks(after) => total > *after,
        _ => false,
    });
    let limit = match &fault {
        Some(Fault::RowsFail(after, _) | Fault::ConnectionBreaks(after)) => *after,
        _ => total,
    };
    let mut sent = 0;
    if times > 1 {
        let mut block = Vec::new();
        encode_rows(selection, &selection.rows, &mut block);
        for _ in 0..times {
            answer.bytes.extend(&block);
            answer.send_full().await?;
        }
        sent = total;
    }
    while sent < limit {
        let rows = &selection.rows[sent as usize..selection.rows.len().min(limit as usize)];
        let rows = &rows[..rows.len().min(100)];
        encode_rows(selection, rows, &mut answer.bytes);
        answer.send_full().await?;
        sent += rows.len() as u64;
    }
    match fault {
        Some(Fault::ConnectionBreaks(_)) => {
            answer.cut().await?;
            return Ok(false);
        }
        Some(Fault::RowsFail(_, error)) => {
            tokens::error(&error, &mut answer.bytes);
            tokens::done(end, None, true, &mut answer.bytes);
        }
        _ => tokens::done(end, Some(sent), false, &mut answer.bytes),
    }
    answer.finish().await?;
    Ok(true)
}

/// Encodes rows; every other one that has nulls packs them into bits.
fn encode_rows(selection: &Selection, rows: &[Row], out: &mut Vec<u8>) {
    for (index, row) in rows.iter().enumerate() {
        let packs_nulls = index % 2 == 1 && row.contains(&Value::Null);
        encode::row(&selection.columns, row, packs_nulls, out);
    }
}
