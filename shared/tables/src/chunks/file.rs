//! A Parquet file of the lake.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema, parquet_to_arrow_schema};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::reader::Length;
use parquet::schema::types::{Type, TypePtr};
use polars::io::parquet::write::{KeyValueMetadata, StatisticsOptions};
use polars::prelude::*;
use polars_utils::compression::ZstdLevel;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake::Lake;

use super::bytes_of::FileBytes;
use super::checksums;
use super::compose::{Chunk, Group, compose};
use super::statistics::statistics;
use crate::delta::Encoded;

/// Bytes at the end of a file that are read for its footer.
const FOOTER: u64 = 64 * 1024;
/// Bytes of a file up to which it is read with one request.
const SMALL: u64 = 512 * 1024;
/// Level of compression. A higher one takes a fifth more time and makes these files no smaller.
const LEVEL: i32 = 1;
/// Bytes up to which a chunk is one page. Polars counts the nulls of a dictionary's chunk once per page, and compares the
/// statistics of decimals between pages as if they had no sign: with one page both are right.
const PAGE: usize = 64 * 1024 * 1024;
/// Most rows of one row group: so few that its chunks are one page each.
pub(crate) const ROW_GROUP: usize = 1 << 20;

/// A Parquet file, or as much of it as was read.
#[derive(Debug, Clone)]
pub(crate) struct ParquetFile {
    metadata: Arc<ParquetMetaData>,
    bytes: FileBytes,
}

impl ParquetFile {
    /// Takes a whole file.
    ///
    /// # Errors
    /// It is no Parquet file.
    pub(crate) fn whole(bytes: Bytes) -> Result<Self> {
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes)?;
        Ok(Self { metadata: Arc::new(metadata), bytes: FileBytes::whole(bytes) })
    }

    /// Reads the footer of a file of `size` bytes, and nothing else; a small file is read whole.
    ///
    /// # Errors
    /// The store fails, or it is no Parquet file.
    pub(crate) async fn footer(lake: &Lake, key: &str, size: u64) -> Result<Self> {
        if size <= SMALL {
            return Self::whole(lake.get(key).await?).map_err(|error| error.of_object(key));
        }
        let mut wanted = FOOTER.min(size);
        loop {
            let tail = lake.get_range(key, size - wanted..size).await?;
            let mut reader = ParquetMetaDataReader::new();
            match reader.try_parse_sized(&tail, size) {
                Ok(()) => {
                    let metadata = Arc::new(reader.finish()?);
                    return Ok(Self { metadata, bytes: FileBytes::of_ranges(size, Vec::new()) });
                }
                Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted => wanted = needed as u64,
                Err(error) => return Err(StageError::from(error).of_object(key)),
            }
        }
    }

    /// Reads the footer of a file of which the size is not known; a small file is read whole.
    ///
    /// # Errors
    /// The store fails, or it is no Parquet file.
    pub(crate) async fn open(lake: &Lake, key: &str) -> Result<Self> {
        let (tail, size) = lake.get_tail(key, SMALL).await?;
        if tail.len() as u64 == size {
            return Self::whole(tail).map_err(|error| error.of_object(key));
        }
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&tail, size) {
            Ok(()) => {
                let metadata = Arc::new(reader.finish()?);
                Ok(Self { metadata, bytes: FileBytes::of_ranges(size, Vec::new()) })
            }
            Err(ParquetError::NeedMoreData(_)) => Self::footer(lake, key, size).await,
            Err(error) => Err(StageError::from(error).of_object(key)),
        }
    }

    /// Reads the chunks of some columns. Columns that the file lacks are left out.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn with_columns(self, lake: &Lake, key: &str, columns: &[&str]) -> Result<Self> {
        let all = 0..self.groups();
        self.with_columns_of(all, lake, key, columns).await
    }

    /// Reads the chunks of some columns of some row groups. Columns that the file lacks are left out.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn with_columns_of(
        mut self,
        groups: Range<usize>,
        lake: &Lake,
        key: &str,
        columns: &[&str],
    ) -> Result<Self> {
        if self.bytes.is_whole() {
            return Ok(self);
        }
        let leaves = self.leaves(columns);
        let groups = self.metadata.row_groups()[groups].iter();
        let mut wanted: Vec<Range<u64>> = groups
            .flat_map(|group| leaves.iter().map(|leaf| group.column(*leaf).byte_range()))
            .map(|(start, length)| start..start + length)
            .collect();
        wanted.sort_by_key(|range| range.start);
        let read = lake.get_ranges(key, &wanted).await?;
        let ranges = wanted.into_iter().map(|range| range.start).zip(read).collect();
        self.bytes = FileBytes::of_ranges(self.bytes.len(), ranges);
        Ok(self)
    }

    /// Reads some row groups.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn with_groups(self, groups: Range<usize>, lake: &Lake, key: &str) -> Result<Self> {
        let names = self.column_names();
        let columns: Vec<&str> = names.iter().map(String::as_str).collect();
        self.with_columns_of(groups, lake, key, &columns).await
    }

    /// Reads all bytes of the file, unless they were read.
    ///
    /// # Errors
    /// The store fails, or the object is no Parquet file.
    pub(crate) async fn with_all(self, lake: &Lake, key: &str) -> Result<Self> {
        if self.bytes.is_whole() {
            return Ok(self);
        }
        Self::whole(lake.get(key).await?).map_err(|error| error.of_object(key))
    }

    /// The file without its bytes, of which those that are needed are read again.
    pub(crate) fn without_bytes(self) -> Self {
        Self { bytes: FileBytes::of_ranges(self.bytes.len(), Vec::new()), ..self }
    }

    /// The footer.
    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// Number of row groups.
    pub(crate) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> usize {
        self.metadata.row_group(group).num_rows().unsigned_abs() as usize
    }

    /// Names of the columns.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.schema().get_fields().iter().map(|field| field.name().to_owned()).collect()
    }

    /// Whether a list of a column may have several entries.
    pub(crate) fn has_longer_lists(&self, column: &str) -> bool {
        let leaves = self.leaves(&[column]);
        let entries = |group: &RowGroupMetaData, leaf: usize| group.column(leaf).num_values() > group.num_rows();
        self.metadata.row_groups().iter().any(|group| leaves.iter().any(|leaf| entries(group, *leaf)))
    }

    /// The schema of the file.
    pub(crate) fn schema(&self) -> TypePtr {
        self.metadata.file_metadata().schema_descr().root_schema_ptr()
    }

    /// The key-value metadata of the file.
    pub(crate) fn entries(&self) -> Vec<KeyValue> {
        self.metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default()
    }

    /// Leaf columns of some columns, in the order of the schema.
    fn leaves(&self, columns: &[&str]) -> Vec<usize> {
        let schema = self.metadata.file_metadata().schema_descr();
        let root = |leaf: usize| schema.get_column_root(leaf).name().to_owned();
        (0..schema.num_columns()).filter(|leaf| columns.contains(&root(*leaf).as_str())).collect()
    }

    /// A row group of the file, of which some columns come from another file with one row group.
    ///
    /// # Errors
    /// The other file has other rows.
    pub(crate) fn group<'a>(&'a self, group: usize, replaced: Option<&'a Self>) -> Result<Group<'a>> {
        let own = self.metadata.row_group(group);
        let paths = |columns: &[ColumnChunkMetaData]| -> HashSet<String> {
            columns.iter().map(|column| column.column_path().string()).collect()
        };
        if let Some(replaced) = replaced {
            let columns = paths(replaced.metadata.row_group(0).columns());
            if replaced.rows(0) != self.rows(group) || !columns.is_subset(&paths(own.columns())) {
                return Err(StageError::internal("columns for a row group do not fit it"));
            }
        }
        let chunk_of = |leaf: usize| {
            let column = own.column(leaf);
            let other = replaced.and_then(|replaced| replaced.chunk(0, column.column_path()));
            let noted = checksums::noted(&self.metadata, group, leaf);
            other.unwrap_or(Chunk { bytes: &self.bytes, metadata: column, noted })
        };
        let chunks = (0..own.num_columns()).map(chunk_of).collect();
        Ok(Group { rows: own.num_rows().unsigned_abs(), chunks })
    }

    /// Decodes some row groups, which must have been read.
    ///
    /// # Errors
    /// Those of [`ParquetFile::decode`].
    pub(crate) fn decode_all(&self, groups: Range<usize>) -> Result<DataFrame> {
        let names = self.column_names();
        self.decode(groups, &names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What the file notes of the types of some columns that Parquet itself does not tell apart.
    fn noted_types(&self, columns: &[&str]) -> Result<Vec<KeyValue>> {
        let file = self.metadata.file_metadata();
        let entries = file.key_value_metadata();
        if !entries.is_some_and(|entries| entries.iter().any(|entry| entry.key == ARROW_SCHEMA_META_KEY)) {
            return Ok(Vec::new());
        }
        let all = parquet_to_arrow_schema(file.schema_descr(), entries)?;
        let wanted = (0..).zip(all.fields()).filter(|(_, field)| columns.contains(&field.name().as_str()));
        let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
        let narrow = all.project(&wanted).map_err(|error| StageError::corrupt_lake(error.to_string()))?;
        Ok(vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&narrow))])
    }

    fn chunk(&self, group: usize, path: &parquet::schema::types::ColumnPath) -> Option<Chunk<'_>> {
        let columns = self.metadata.row_group(group).columns();
        let leaf = columns.iter().position(|column| column.column_path() == path)?;
        let noted = checksums::noted(&self.metadata, group, leaf);
        Some(Chunk { bytes: &self.bytes, metadata: &columns[leaf], noted })
    }

    /// Decodes columns of some row groups; those that the file lacks are left out. The chunks must have been read.
    ///
    /// # Errors
    /// The bytes cannot be decoded, or differ from those that were written.
    pub(crate) fn decode(&self, groups: Range<usize>, columns: &[&str]) -> Result<DataFrame> {
        let schema = self.schema();
        let fields = schema.get_fields().iter().filter(|field| columns.contains(&field.name())).cloned().collect();
        let narrow = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
        let leaves = self.leaves(columns);
        let group = |group: usize| {
            let own = self.metadata.row_group(group);
            let chunk = |leaf: &usize| {
                let noted = checksums::noted(&self.metadata, group, *leaf);
                Chunk { bytes: &self.bytes, metadata: own.column(*leaf), noted }
            };
            Group { rows: own.num_rows().unsigned_abs(), chunks: leaves.iter().map(chunk).collect() }
        };
        let groups: Vec<Group<'_>> = groups.map(group).collect();
        let file = compose(&narrow, &self.noted_types(columns)?, &groups)?;
        Ok(ParquetReader::new(std::io::Cursor::new(file)).finish()?)
    }
}

/// Returns rows as a file with row groups of at most `rows_per_group` rows, which notes the checksums of its chunks.
///
/// # Errors
/// A column has a type that the lake does not use.
pub(crate) fn file_of(rows: &DataFrame, rows_per_group: usize) -> Result<Encoded> {
    let file = ParquetFile::whole(encode(rows, rows_per_group)?.into())?;
    let groups = (0..file.groups()).map(|group| file.group(group, None)).collect::<Result<Vec<_>>>()?;
    file_of_groups(&file, &groups, rows.schema())
}

/// Returns row groups as a file of the kind that `like` is.
///
/// # Errors
/// `CorruptLake` if the bytes of a chunk differ from what its file notes, or a chunk is of another column than the
/// schema's.
pub(crate) fn file_of_groups(like: &ParquetFile, groups: &[Group<'_>], schema: &Schema) -> Result<Encoded> {
    let bytes = Bytes::from(compose(&like.schema(), &like.entries(), groups)?);
    let file = ParquetFile::whole(bytes.clone())?;
    let statistics = statistics(file.metadata(), schema);
    let rows = file.metadata().file_metadata().num_rows().unsigned_abs();
    drop(file);
    Ok(Encoded { bytes: bytes.into(), rows, statistics })
}

/// Returns the row groups of files with the same columns as one file.
///
/// # Errors
/// There is none, or the files have different columns.
pub(crate) fn stacked(files: &[ParquetFile]) -> Result<Vec<u8>> {
    let Some(first) = files.first() else { return Err(StageError::internal("no row groups to put together")) };
    let mut groups = Vec::new();
    for file in files {
        for group in 0..file.groups() {
            groups.push(file.group(group, None)?);
        }
    }
    compose(&first.schema(), &first.entries(), &groups)
}

/// Encodes rows as a file with row groups of at most `rows_per_group` rows.
///
/// # Errors
/// A column has a type that the lake does not use.
pub(crate) fn encode(rows: &DataFrame, rows_per_group: usize) -> Result<Vec<u8>> {
    let compression = ParquetCompression::Zstd(Some(ZstdLevel::try_new(LEVEL)?));
    let rows_per_group = evenly(rows.height(), rows_per_group);
    encode_with(rows, |writer| writer.with_compression(compression).with_row_group_size(Some(rows_per_group)))
}

/// Encodes rows as a file with one row group that is read once and soon: fast, and larger than what [`encode`] makes.
///
/// # Errors
/// A column has a type that the lake does not use.
pub(crate) fn encode_for_now(rows: &DataFrame) -> Result<Vec<u8>> {
    encode_with(rows, |writer| {
        let writer = writer.with_compression(ParquetCompression::Lz4Raw).with_statistics(StatisticsOptions::empty());
        writer.with_row_group_size(Some(rows.height().max(1)))
    })
}

fn encode_with(
    rows: &DataFrame,
    with: impl for<'a> FnOnce(ParquetWriter<&'a mut Vec<u8>>) -> ParquetWriter<&'a mut Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Polars would note texts as views, which not every reader compares with a text.
    let arrow = encode_arrow_schema(&crate::delta::to_arrow(rows.schema())?);
    let entries = vec![(ARROW_SCHEMA_META_KEY.to_owned(), arrow)];
    let writer = ParquetWriter::new(&mut bytes)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(entries)))
        .with_data_page_size(Some(PAGE));
    with(writer).finish(&mut rows.clone())?;
    Ok(bytes)
}

/// The size that Polars is told so that row groups of `rows` have about `most` of them and not twice as many: it divides
/// rounding down.
fn evenly(rows: usize, most: usize) -> usize {
    (rows / rows.div_ceil(most).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> DataFrame {
        let cents = Int128Chunked::from_vec("amount".into(), vec![150, -7, 99_900_000_000_000_000_000]);
        let mut rows = df!(
            "dept_key" => ["b", "a", "c"], "dob" => ["x", "y", "z"], "n" => [Some(3_i64), None, Some(-4)],
            "flag" => [true, false, true],
        )
        .unwrap();
        rows.with_column(cents.into_decimal_unchecked(38, 2).into_column()).unwrap();
        rows
    }

    #[test]
    fn a_file_reads_as_the_rows_it_was_made_of_whichever_columns_are_asked_for() {
        let file = ParquetFile::whole(file_of(&rows(), 1).unwrap().bytes.into()).unwrap();
        assert_eq!(file.groups(), 3);
        let columns = ["dept_key", "dob", "n", "flag", "amount"];
        assert!(file.decode(0..3, &columns).unwrap().equals_missing(&rows()));
        let narrow = file.decode(2..3, &["n", "dept_key", "absent"]).unwrap();
        assert!(narrow.equals_missing(&rows().slice(2, 1).select(["dept_key", "n"]).unwrap()));
    }

    #[test]
    fn the_statistics_of_a_file_are_those_of_its_rows() {
        let statistics = file_of(&rows(), 1).unwrap().statistics;
        assert_eq!(statistics["numRecords"], json!(3));
        assert_eq!(statistics["nullCount"], json!({ "dept_key": 0, "n": 1, "amount": 0 }));
        assert_eq!((&statistics["minValues"]["n"], &statistics["maxValues"]["n"]), (&json!(-4), &json!(3)));
        assert_eq!(
            (&statistics["minValues"]["dept_key"], &statistics["maxValues"]["dept_key"]),
            (&json!("a"), &json!("c"))
        );
        assert_eq!(statistics["minValues"]["amount"], json!(-0.07));
        assert!(statistics["maxValues"]["amount"].as_f64().unwrap() >= 999_000_000_000_000_000.0);
    }

    #[test]
    fn statistics_are_right_where_a_chunk_is_larger_than_a_page_usually_is() {
        const ROWS: usize = 430_000;
        let kinds = (0..ROWS).map(|row| (row % 5 > 0).then_some(if row % 2 == 0 { "a_key" } else { "b_key" }));
        // Of both signs, each for a whole stretch.
        let cents: Vec<i128> = (0..ROWS as i128).map(|row| if row < 200_000 { row + 1 } else { -row }).collect();
        let cents = Int128Chunked::from_vec("amount".into(), cents).into_decimal_unchecked(38, 2);
        let kinds = StringChunked::from_iter_options("kind_key".into(), kinds);
        let rows = DataFrame::new(ROWS, vec![kinds.into_column(), cents.into_column()]).unwrap();
        let file = file_of(&rows, ROW_GROUP).unwrap();
        assert_eq!(file.statistics["nullCount"], json!({ "kind_key": ROWS / 5, "amount": 0 }));
        assert_eq!(file.statistics["minValues"], json!({ "kind_key": "a_key", "amount": -4299.99 }));
        assert_eq!(file.statistics["maxValues"], json!({ "kind_key": "b_key", "amount": 2000.0 }));
    }

    #[test]
    fn no_row_group_has_many_more_rows_than_it_should() {
        for (rows, most) in [(1, 9), (9, 9), (10, 9), (17, 9), (1700, 90), (0, 9)] {
            let column = Column::new("n".into(), vec![1_i64; rows]);
            let bytes = encode(&DataFrame::new(rows, vec![column]).unwrap(), most).unwrap();
            let file = ParquetFile::whole(bytes.into()).unwrap();
            let groups = file.groups();
            assert!((0..groups).all(|group| file.rows(group) < most + groups), "{rows} {most}");
        }
    }

    #[test]
    fn a_chunk_whose_bytes_are_others_than_those_that_were_written_is_not_copied() {
        let written = file_of(&rows(), 9).unwrap();
        let whole = ParquetFile::whole(written.bytes.clone().into()).unwrap();
        let copy = file_of_groups(&whole, &[whole.group(0, None).unwrap()], rows().schema()).unwrap();
        assert_eq!(copy.bytes, written.bytes);
        let (start, length) = whole.metadata().row_group(0).column(2).byte_range();
        let mut damaged = written.bytes;
        damaged[(start + length / 2) as usize] ^= 1;
        let damaged = ParquetFile::whole(damaged.into()).unwrap();
        let error = file_of_groups(&damaged, &[damaged.group(0, None).unwrap()], rows().schema()).err().unwrap();
        assert_eq!(error.to_string(), "corrupt lake: bytes of column `n` are not those that were written");
    }

    #[tokio::test]
    async fn a_footer_that_is_longer_than_what_is_read_at_first_is_read_whole() {
        let lake = Lake::in_memory();
        let names: Vec<String> = (0..9000).map(|column| format!("a_column_with_a_long_name_{column}")).collect();
        let columns = names.iter().map(|name| Column::new(name.as_str().into(), [1_i64, 2])).collect();
        let bytes = file_of(&DataFrame::new(2, columns).unwrap(), 9).unwrap().bytes;
        let size = bytes.len() as u64;
        assert!(size > SMALL);
        lake.put("file", bytes).await.unwrap();
        let file = ParquetFile::footer(&lake, "file", size).await.unwrap();
        assert!(file.decode(0..1, &[names[7].as_str()]).is_err(), "no chunk is read yet");
        let file = file.with_columns(&lake, "file", &[&names[7]]).await.unwrap();
        assert_eq!(file.decode(0..1, &[names[7].as_str()]).unwrap().height(), 2);
    }
}
