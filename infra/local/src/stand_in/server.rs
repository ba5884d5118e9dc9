//! The part of HTTP/1.1 that a stand-in needs: one request per connection, and a JSON response.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

/// Longest request, in bytes.
const REQUEST_LIMIT: u64 = 64 * 1024;
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// A server that only this machine can reach, on a free port. It stops when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// The parts of a request that stand-ins use.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: Url,
    /// The value of `Authorization`; empty if there is none.
    pub(super) authorization: String,
    pub(super) body: String,
}

/// A status and a JSON document.
pub(super) type Response = (u16, Value);

impl Server {
    pub(super) async fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let answer = Arc::clone(&answer);
                // The client handles a broken connection.
                tokio::spawn(async move { timeout(REQUEST_TIME, serve(stream, answer.as_ref())).await });
            }
        });
        Ok(Self { address, task })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: &(impl Fn(&Request) -> Response + Sync)) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut lines = BufReader::new(reading.take(REQUEST_LIMIT));
    let (status, json) = match read(&mut lines).await? {
        Some(request) => answer(&request),
        None => (400, Value::Null),
    };
    let body = json.to_string();
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    writing.write_all((head + &body).as_bytes()).await?;
    writing.shutdown().await
}

async fn read(lines: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Request>> {
    let mut line = String::new();
    lines.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let Ok(url) = Url::parse("http://stand-in").and_then(|base| base.join(target)) else { return Ok(None) };
    let mut request = Request { method: method.to_owned(), url, authorization: String::new(), body: String::new() };
    let mut length = 0;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut request.authorization),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    lines.take(length).read_to_string(&mut request.body).await?;
    Ok(Some(request))
}
