//! The records of a file, batch by batch, for those who only look at them.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{BATCHES_AHEAD, Csv, CsvSummary, Wanted, records, stopped};
use crate::bronze::{MALFORMED, POSITION};
use crate::error::Result;

/// Some records of a file.
#[derive(Debug)]
pub struct Records(RecordBatch);

impl Records {
    /// Names of the file's columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.0.schema_ref().fields().iter().map(|field| field.name().as_str());
        names.filter(|name| ![POSITION, MALFORMED].contains(name))
    }

    /// Texts of a column, by its place in the file; none for a record that does not fit the header.
    pub fn texts(&self, column: usize) -> impl Iterator<Item = Option<&str>> {
        self.0.column(column).as_string::<i32>().iter()
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads a file and hands its records to `take`, batch by batch; the first batch has no record.
///
/// # Errors
/// Those of [`super::to_parquet`], but for the writing.
pub async fn each(csv: &Csv, wanted: Wanted, mut take: impl FnMut(&Records)) -> Result<CsvSummary> {
    let bytes = csv.open().await?;
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let reader = csv.clone();
    let reading = spawn_blocking(move || records::read(&reader, bytes, wanted, &sender));
    while let Some(batch) = batches.recv().await {
        take(&Records(batch));
    }
    reading.await.map_err(|_| stopped())?
}
