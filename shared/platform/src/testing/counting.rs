use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, DynObjectStore, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::lake::Lake;

/// Keys that a bucket lists with one request.
const KEYS_OF_A_PAGE: usize = 1000;

/// Requests that read: an object or ranges of one, what is said of one, or a page of a listing. Each by its key.
#[derive(Debug, Clone, Default)]
pub struct Reads(Arc<Mutex<Vec<String>>>);

impl Reads {
    /// The same lake with nothing known of it yet, as another process sees it, and the reads made through it.
    #[must_use]
    pub fn of(lake: &Lake) -> (Lake, Self) {
        let reads = Self::default();
        let store = CountingStore { inner: lake.store(), reads: reads.clone() };
        (lake.clone().with_store(Arc::new(store)), reads)
    }

    /// The keys of those since the last time that somebody asked.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn add(&self, at: Option<&Path>) {
        self.0.lock().unwrap().push(at.map_or_else(String::new, ToString::to_string));
    }
}

/// Requests that read below `bronze/`, counted, but for those of data files.
#[derive(Debug, Clone, Default)]
pub struct BronzeReads(Reads);

impl BronzeReads {
    /// The same lake with nothing known of it yet, as another process sees it, and the reads made through it.
    #[must_use]
    pub fn of(lake: &Lake) -> (Lake, Self) {
        let (lake, reads) = Reads::of(lake);
        (lake, Self(reads))
    }

    /// How many there were since the last time that somebody asked.
    #[must_use]
    pub fn take(&self) -> usize {
        self.0.take().iter().filter(|key| key.starts_with("bronze") && !key.contains("/data")).count()
    }
}

/// Keys of the Parquet files of which bytes were read.
#[derive(Debug, Clone, Default)]
pub struct DataReads(Reads);

impl DataReads {
    /// The same lake with nothing known of it yet, as another process sees it, and the reads made through it.
    #[must_use]
    pub fn of(lake: &Lake) -> (Lake, Self) {
        let (lake, reads) = Reads::of(lake);
        (lake, Self(reads))
    }

    /// Those read since the last time that somebody asked, each once, in order.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.0.take().into_iter().filter(|key| key.ends_with(".parquet")).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[derive(Debug)]
struct CountingStore {
    inner: Arc<DynObjectStore>,
    reads: Reads,
}

impl CountingStore {
    /// Counts the pages of a listing: one at least.
    fn counted(
        &self,
        prefix: Option<&Path>,
        listed: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.add(prefix);
        let (reads, prefix) = (self.reads.clone(), prefix.cloned());
        listed
            .enumerate()
            .map(move |(index, meta)| {
                if index > 0 && index % KEYS_OF_A_PAGE == 0 {
                    reads.add(prefix.as_ref());
                }
                meta
            })
            .boxed()
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, counted", self.inner)
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.add(Some(at));
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counted(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        // Those before the offset are not read in a bucket.
        let offset = offset.clone();
        let after = self.inner.list(prefix).filter(move |meta| {
            let is_after = meta.as_ref().is_ok_and(|meta| meta.location > offset) || meta.is_err();
            std::future::ready(is_after)
        });
        self.counted(prefix, after.boxed())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads.add(prefix);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
