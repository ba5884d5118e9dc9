//! Faults that a test can inject; each happens once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tokens::SqlError;

/// A fault that happens at the next opportunity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The next login fails, even with the right password.
    LoginFails(SqlError),
    /// The next login is redirected to another port of this machine.
    LoginIsRouted(u16),
    /// The next statement that contains a text fails.
    StatementFails(&'static str, SqlError),
    /// The response to the next statement that contains a text is late.
    StatementWaits(&'static str, Duration),
    /// The next response with more rows than this ends after them with an error.
    RowsFail(u64, SqlError),
    /// The next response with more rows than this ends after them because the server closes the connection.
    ConnectionBreaks(u64),
}

/// Faults that have not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Removes and returns the first fault that applies here.
    pub(crate) fn take(&self, is_here: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = faults.iter().position(is_here)?;
        Some(faults.remove(index))
    }
}
