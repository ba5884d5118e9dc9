//! Messages and their packets.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const HEADER: usize = 8;
const TABULAR_RESULT: u8 = 4;
const END_OF_MESSAGE: u8 = 1;

/// Kinds of messages that a client sends.
pub(crate) mod kind {
    pub(crate) const BATCH: u8 = 1;
    pub(crate) const RPC: u8 = 3;
    pub(crate) const LOGIN7: u8 = 16;
    pub(crate) const PRE_LOGIN: u8 = 18;
}

/// Reads a message: its kind and its bytes. Returns `None` if the client has closed the connection.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut message = Vec::new();
    loop {
        let mut header = [0; HEADER];
        match stream.read_exact(&mut header).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]])).saturating_sub(HEADER);
        let start = message.len();
        message.resize(start + length, 0);
        stream.read_exact(&mut message[start..]).await?;
        if header[1] & END_OF_MESSAGE != 0 {
            return Ok(Some((header[0], message)));
        }
    }
}

/// A response that is being sent: bytes are sent when they fill a packet.
pub(crate) struct Answer<'a, S> {
    stream: &'a mut S,
    packet_size: usize,
    /// Bytes that are not sent yet.
    pub(crate) bytes: Vec<u8>,
    packets: u8,
}

impl<'a, S: AsyncWrite + Unpin> Answer<'a, S> {
    pub(crate) fn new(stream: &'a mut S, packet_size: usize) -> Self {
        Self { stream, packet_size, bytes: Vec::new(), packets: 0 }
    }

    /// Sends the packets that are full.
    pub(crate) async fn send_full(&mut self) -> io::Result<()> {
        let room = self.packet_size - HEADER;
        if self.bytes.len() <= room {
            return Ok(());
        }
        let full = (self.bytes.len() - 1) / room * room;
        let rest = self.bytes.split_off(full);
        let mut out = Vec::with_capacity(full + full / room * HEADER + HEADER);
        for part in self.bytes.chunks(room) {
            self.packets = self.packets.wrapping_add(1);
            frame(part, 0, self.packets, &mut out);
        }
        self.bytes = rest;
        self.stream.write_all(&out).await
    }

    /// Sends the rest, marked as the end of the response.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        self.send_full().await?;
        let mut out = Vec::with_capacity(self.bytes.len() + HEADER);
        frame(&self.bytes, END_OF_MESSAGE, self.packets.wrapping_add(1), &mut out);
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }

    /// Sends the bytes so far, like a server that dies in the middle of a response.
    pub(crate) async fn cut(mut self) -> io::Result<()> {
        self.send_full().await?;
        let mut out = Vec::new();
        frame(&self.bytes, 0, self.packets.wrapping_add(1), &mut out);
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        self.stream.shutdown().await
    }
}

fn frame(part: &[u8], status: u8, number: u8, out: &mut Vec<u8>) {
    out.extend([TABULAR_RESULT, status]);
    out.extend(((part.len() + HEADER) as u16).to_be_bytes());
    out.extend([0, 0, number, 0]);
    out.extend(part);
}
