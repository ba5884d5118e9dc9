//! A proxy before the server, which counts connections and loses one on request.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is done before a connection is handed on; the argument counts connections from 1.
type Before = Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A proxy before a server of this machine. It ends when this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    /// Bytes of a response after which the next connection is lost that has as many.
    lost_after: Mutex<Option<usize>>,
    before: Mutex<Option<Before>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("State")
    }
}

impl Proxy {
    /// Starts a proxy before a port.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(serve(client, server, number, Arc::clone(&shared)));
            }
        });
        Self { port, state, task }
    }

    /// Returns the port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Loses the next connection that gets as many bytes from the server, after them, once.
    pub fn lose_after(&self, bytes: usize) {
        *lock(&self.state.lost_after) = Some(bytes);
    }

    /// Does something before every connection is handed on to the server.
    pub fn before_connections<F>(&self, before: impl Fn(usize) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *lock(&self.state.before) = Some(Arc::new(move |number| Box::pin(before(number))));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, server: u16, number: usize, state: Arc<State>) {
    let before = lock(&state.before).clone();
    if let Some(before) = before {
        before(number).await;
    }
    let Ok(server) = TcpStream::connect(("localhost", server)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // What ends first ends the connection on both sides.
    tokio::select! {
        () = hand_on(from_client, to_server, None) => {}
        () = hand_on(from_server, to_client, Some(&state)) => {}
    }
}

async fn hand_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, losing: Option<&State>) {
    let (mut buffer, mut sent) = ([0; 4096], 0);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        sent += read;
        if losing.is_some_and(|state| lock(&state.lost_after).take_if(|after| sent > *after).is_some()) {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
