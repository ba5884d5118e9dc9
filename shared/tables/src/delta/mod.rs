//! Delta tables: the only place that reads and commits their logs.
//!
//! Polars encodes the data files; delta-rs owns the log. Every commit names the version it was
//! made on and is refused if there is a newer one, so that a caller always decides on what it read.

mod append;
mod commit;
mod compact;
mod read;
mod retry;
mod schema;
mod table;
mod upkeep;
mod versions;
mod write;

pub use append::{Append, append_missing};
pub use commit::{Change, Committed, commit, commit_anew, is_narrower, record_data_version};
pub use compact::{Compacted, compact};
pub use retry::{Conflicts, retry_on_conflict};
pub(crate) use schema::to_arrow;
pub use table::{DataFile, Table, scan_parquet};
pub use upkeep::{checkpoint, clean_log, vacuum};
pub use versions::CommitInfo;
pub(crate) use write::{Encoded, End, has_statistics, json_value, put, shortened};
pub use write::{NewFile, write, write_marked};
