use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::bronze::{MALFORMED, POSITION};

const MAX_ROWS: usize = 8192;
/// Text of one batch, in bytes: long records make short batches.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Records on their way into a batch: the file's columns, then position and malformed fields.
pub(super) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    positions: Int64Builder,
    malformed: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    pub(super) fn new(names: &[String]) -> Self {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let mut fields: Vec<Field> = names.iter().map(|name| text(name)).collect();
        fields.extend([Field::new(POSITION, DataType::Int64, false), text(MALFORMED)]);
        Self {
            schema: Arc::new(Schema::new(fields)),
            columns: names.iter().map(|_| StringBuilder::new()).collect(),
            positions: Int64Builder::new(),
            malformed: StringBuilder::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Adds a record with a field for every column.
    pub(super) fn push(&mut self, position: u64, fields: &[&str]) {
        for (column, field) in self.columns.iter_mut().zip(fields) {
            column.append_value(field);
            self.bytes += field.len();
        }
        self.malformed.append_null();
        self.end_row(position);
    }

    /// Adds a record that does not fit the columns, as a JSON list of its fields.
    pub(super) fn push_malformed(&mut self, position: u64, fields: &str) {
        for column in &mut self.columns {
            column.append_null();
        }
        self.malformed.append_value(fields);
        self.bytes += fields.len();
        self.end_row(position);
    }

    fn end_row(&mut self, position: u64) {
        self.positions.append_value(position as i64);
        self.rows += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The records since the last call.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        let mut arrays: Vec<ArrayRef> =
            self.columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        arrays.push(Arc::new(self.positions.finish()));
        arrays.push(Arc::new(self.malformed.finish()));
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }
}
