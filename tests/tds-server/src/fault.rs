//! What a server may do wrong, once each.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tokens::SqlError;

/// Something that goes wrong the next time it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The next login is answered with an error, whatever its password.
    LoginFails(SqlError),
    /// The next login is sent to another port of this machine.
    LoginIsRouted(u16),
    /// The next statement that contains a text is answered with an error.
    StatementFails(&'static str, SqlError),
    /// The next statement that contains a text is answered late.
    StatementWaits(&'static str, Duration),
    /// The next answer with more rows than this ends after them with an error.
    RowsFail(u64, SqlError),
    /// The next answer with more rows than this ends after them with the connection.
    ConnectionBreaks(u64),
}

/// Faults that have not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Takes the first fault that is of this place.
    pub(crate) fn take(&self, is_here: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = faults.iter().position(is_here)?;
        Some(faults.remove(index))
    }
}
