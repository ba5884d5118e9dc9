use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Requests that read below `bronze/`, counted, but for those of data files: an object, what is said of one, or a
/// page of a listing.
#[derive(Debug, Clone, Default)]
pub struct BronzeReads(Arc<AtomicUsize>);

impl BronzeReads {
    /// The same lake with nothing known of it yet, as another process sees it, and the reads made through it.
    #[must_use]
    pub fn of(lake: &Lake) -> (Lake, Self) {
        let reads = Self::default();
        let store = CountingStore { inner: lake.store(), reads: reads.clone() };
        (lake.clone().with_store(Arc::new(store)), reads)
    }

    /// How many there were since the last time that somebody asked.
    #[must_use]
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }

    fn add(&self, at: Option<&Path>, requests: usize) {
        if at.is_some_and(|at| at.as_ref().starts_with("bronze") && !at.as_ref().contains("/data")) {
            self.0.fetch_add(requests, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct CountingStore {
    inner: Arc<DynObjectStore>,
    reads: BronzeReads,
}

impl CountingStore {
    /// Counts the pages of a listing: one at least.
    fn counted(
        &self,
        prefix: Option<&Path>,
        listed: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.add(prefix, 1);
        let (reads, prefix) = (self.reads.clone(), prefix.cloned());
        listed
            .enumerate()
            .map(move |(index, meta)| {
                reads.add(prefix.as_ref(), usize::from(index > 0 && index % KEYS_OF_A_PAGE == 0));
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
        self.reads.add(Some(at), 1);
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
        self.reads.add(prefix, 1);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
