//! The start of a connection: pre-login and LOGIN7, as defined in MS-TDS 2.2.6.

use std::io;

const ENCRYPTION: u8 = 1;
const TERMINATOR: u8 = 0xFF;
const READ_ONLY_INTENT: u8 = 1 << 5;

/// TLS support of a server, as sent in pre-login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    NotSupported = 2,
    Required = 3,
}

/// A login that a client tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
    pub database: String,
    pub application: String,
    /// The client said `ApplicationIntent=ReadOnly`.
    pub is_read_only: bool,
    pub packet_size: u32,
    /// The connection was encrypted.
    pub is_encrypted: bool,
}

/// Returns the response to a pre-login: version and encryption.
pub(crate) fn pre_login(encryption: Encryption) -> Vec<u8> {
    let (options, version) = (11_u16, [16, 0, 0x10, 0x00, 0, 0]);
    let mut out = vec![0];
    out.extend(options.to_be_bytes());
    out.extend((version.len() as u16).to_be_bytes());
    out.push(ENCRYPTION);
    out.extend((options + version.len() as u16).to_be_bytes());
    out.extend(1_u16.to_be_bytes());
    out.push(TERMINATOR);
    out.extend(version);
    out.push(encryption as u8);
    out
}

/// Reads a LOGIN7 message.
pub(crate) fn read(message: &[u8], is_encrypted: bool) -> io::Result<Login> {
    let text = |at: usize| field(message, at).map(|bytes| from_utf16(&bytes));
    let password = field(message, 44)?.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect::<Vec<u8>>();
    let size = message.get(8..12).ok_or_else(short)?;
    Ok(Login {
        user: text(40)?,
        password: from_utf16(&password),
        database: text(68)?,
        application: text(48)?,
        is_read_only: message.get(26).ok_or_else(short)? & READ_ONLY_INTENT != 0,
        packet_size: size.iter().rev().fold(0, |size, byte| size << 8 | u32::from(*byte)),
        is_encrypted,
    })
}

/// Returns the bytes that an offset and a length (in UTF-16 units) at a position of the message describe.
fn field(message: &[u8], at: usize) -> io::Result<Vec<u8>> {
    let number = |at: usize| -> io::Result<usize> {
        let bytes = message.get(at..at + 2).ok_or_else(short)?;
        Ok(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let (offset, units) = (number(at)?, number(at + 2)?);
    Ok(message.get(offset..offset + units * 2).ok_or_else(short)?.to_vec())
}

pub(crate) fn from_utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the message is too short")
}
