use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{BinaryArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use rand::RngCore;
use rstest::rstest;
use tokio::sync::mpsc;

use super::*;

/// What does not work of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// The third part of an object does not arrive.
    ThirdPart,
    /// The parts of an object are not put together.
    Completion,
    /// Nothing is removed.
    Removal,
    /// Whoever reads an object panics, and says what it is about.
    Reading,
}

/// A store in memory with some trouble.
#[derive(Debug)]
pub(crate) struct Unreliable {
    inner: InMemory,
    trouble: Trouble,
    aborted: Arc<AtomicUsize>,
}

impl Unreliable {
    pub(crate) fn lake(trouble: Trouble) -> Lake {
        Lake::in_memory().with_store(Arc::new(Self::new(trouble)))
    }

    fn new(trouble: Trouble) -> Self {
        Self { inner: InMemory::new(), trouble, aborted: Arc::default() }
    }
}

impl fmt::Display for Unreliable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.trouble)
    }
}

fn lost() -> Error {
    Error::Generic { store: "unreliable", source: "the connection was lost".into() }
}

#[async_trait]
impl ObjectStore for Unreliable {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(at, options).await?;
        Ok(Box::new(Parts { inner, trouble: self.trouble, sent: 0, aborted: Arc::clone(&self.aborted) }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let found = self.inner.get_opts(at, options).await?;
        if self.trouble != Trouble::Reading {
            return Ok(found);
        }
        let panicking = stream::once(async { panic!("invalid digit in `Quillon Fictor`") });
        Ok(GetResult { payload: GetResultPayload::Stream(panicking.boxed()), ..found })
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        if self.trouble == Trouble::Removal {
            return places.map(|_| Err(lost())).boxed();
        }
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Parts {
    inner: Box<dyn MultipartUpload>,
    trouble: Trouble,
    sent: usize,
    aborted: Arc<AtomicUsize>,
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.sent += 1;
        if self.trouble == Trouble::ThirdPart && self.sent == 3 {
            return Box::pin(async { Err(lost()) });
        }
        self.inner.put_part(part)
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if self.trouble == Trouble::Completion {
            return Err(lost());
        }
        self.inner.complete().await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}

/// Writes a file of so many mebibytes that nothing makes smaller; how many uploads were given up, and
/// whether the file is there.
async fn write_with(trouble: Trouble, mebibytes: usize, verdict: Result<()>) -> (Result<()>, usize, bool) {
    let store = Unreliable::new(trouble);
    let aborted = Arc::clone(&store.aborted);
    let lake = Lake::in_memory().with_store(Arc::new(store));
    let schema = Arc::new(Schema::new(vec![Field::new("noise", DataType::Binary, false)]));
    let (sender, batches) = mpsc::channel(1);
    let fill = async {
        let mut noise = vec![0; 1024 * 1024];
        rand::rng().fill_bytes(&mut noise);
        for number in 0..mebibytes {
            noise[0] = number as u8;
            let column = Arc::new(BinaryArray::from_iter_values([&noise]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let (written, ()) = tokio::join!(write(&lake, "a", batches, async { verdict }), fill);
    let is_there = lake.head("a").await.unwrap().is_some();
    (written, aborted.load(Ordering::Relaxed), is_there)
}

#[rstest]
#[case::small(1)]
#[case::of_several_parts(25)]
#[tokio::test]
async fn a_file_is_there_once_it_is_whole(#[case] mebibytes: usize) {
    assert_eq!(write_with(Trouble::None, mebibytes, Ok(())).await, (Ok(()), 0, true));
}

#[rstest]
#[case::a_part_that_does_not_arrive(Trouble::ThirdPart)]
#[case::parts_that_are_not_put_together(Trouble::Completion)]
#[tokio::test]
async fn an_upload_that_cannot_be_ended_is_given_up(#[case] trouble: Trouble) {
    let (written, aborted, is_there) = write_with(trouble, 25, Ok(())).await;
    assert_eq!((written.unwrap_err().name(), aborted, is_there), ("Storage", 1, false));
}

#[tokio::test]
async fn an_upload_of_a_source_that_broke_is_given_up() {
    let broken = StageError::source_unavailable("gone".to_owned());
    // More than a row group, so that some of it is on its way.
    let (written, aborted, is_there) = write_with(Trouble::None, 75, Err(broken.clone())).await;
    assert_eq!((written, aborted, is_there), (Err(broken), 1, false));
}

#[rstest]
#[case::utc(Some("UTC"), "2024-11-07T06:30:00.123Z")]
#[case::without_a_zone(None, "2024-11-07T06:30:00.123")]
#[tokio::test]
async fn a_timestamp_is_read_as_text_with_its_zone(#[case] zone: Option<&str>, #[case] expected: &str) {
    let lake = Lake::in_memory();
    let moments = TimestampMicrosecondArray::from(vec![1_730_961_000_123_000]);
    let moments = moments.with_timezone_opt(zone);
    let batch = RecordBatch::try_from_iter([("Changed", Arc::new(moments) as ArrayRef)]).unwrap();
    let (sender, batches) = mpsc::channel(1);
    sender.send(batch).await.unwrap();
    drop(sender);
    write(&lake, "a.parquet", batches, async { Ok(()) }).await.unwrap();
    let mut found = Vec::new();
    let read = for_each_row(&lake, "a.parquet", &["Changed"], |row| found.push(row[0].to_owned())).await.unwrap();
    assert!(read);
    assert_eq!(found, [expected]);
}
