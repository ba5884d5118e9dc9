//! A store of which the objects of Delta logs are read once by a process.
//!
//! Commits and checkpoints never change. A reader lists a log before it reads it; an object that the listing shows as it
//! was when it was read is answered from memory, so that opening a table again, or asking its log for what an
//! application recorded, costs the listing alone. A table that is removed and made anew has other objects by their times.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, DynObjectStore, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Bytes of the largest object that is kept.
const LARGEST: u64 = 1024 * 1024;
/// Bytes that are kept at most. Where more come, the others are forgotten.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A store that keeps small objects of Delta logs in memory.
#[derive(Debug)]
pub(super) struct LogCache {
    inner: Arc<DynObjectStore>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// As the last listing shows them.
    listed: HashMap<Path, ObjectMeta>,
    read: HashMap<Path, (ObjectMeta, Bytes)>,
    bytes: u64,
}

impl Known {
    /// The object as the last listing shows it, if it is one to keep.
    fn listed(&self, at: &Path) -> Option<ObjectMeta> {
        self.listed.get(at).filter(|meta| meta.size <= LARGEST).cloned()
    }

    fn read(&self, listed: &ObjectMeta) -> Option<Bytes> {
        self.read.get(&listed.location).filter(|(meta, _)| is_same(meta, listed)).map(|(_, bytes)| bytes.clone())
    }

    fn keep(&mut self, meta: ObjectMeta, bytes: Bytes) {
        if self.bytes + meta.size > MOST_BYTES {
            self.read.clear();
            self.bytes = 0;
        }
        self.bytes += meta.size;
        self.read.insert(meta.location.clone(), (meta, bytes));
    }
}

fn is_same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.size == other.size && one.last_modified == other.last_modified && one.e_tag == other.e_tag
}

/// Whether an object is a commit or a checkpoint of a Delta log; the hint `_last_checkpoint` is neither, and changes.
fn is_of_log(at: &Path) -> bool {
    let Some((folder, name)) = at.as_ref().rsplit_once('/') else { return false };
    folder.ends_with("_delta_log") && name.len() > 20 && name.bytes().take(20).all(|byte| byte.is_ascii_digit())
}

impl LogCache {
    pub(super) fn new(inner: Arc<DynObjectStore>) -> Self {
        Self { inner, known: Arc::default() }
    }

    fn noting(&self, listed: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let known = Arc::clone(&self.known);
        let note = move |meta: &Result<ObjectMeta>| {
            if let Ok(meta) = meta
                && is_of_log(&meta.location)
            {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                known.listed.insert(meta.location.clone(), meta.clone());
            }
        };
        listed.inspect(note).boxed()
    }

    /// The bytes of an object of a log as the last listing shows it; none if they are not to be kept.
    async fn whole(&self, at: &Path) -> Result<Option<(ObjectMeta, Bytes)>> {
        let listed = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(listed) = known.listed(at) else { return Ok(None) };
            if let Some(bytes) = known.read(&listed) {
                return Ok(Some((listed, bytes)));
            }
            listed
        };
        let found = self.inner.get_opts(at, GetOptions::default()).await?;
        let meta = found.meta.clone();
        let bytes = found.bytes().await?;
        if is_same(&meta, &listed) {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).keep(meta.clone(), bytes.clone());
        }
        Ok(Some((meta, bytes)))
    }
}

/// The bytes that a request for a part of an object names; none if the store is to answer it.
fn part(range: Option<&GetRange>, size: u64) -> Option<Range<u64>> {
    match range {
        None => Some(0..size),
        Some(GetRange::Bounded(range)) if range.start < range.end && range.start < size => {
            Some(range.start..range.end.min(size))
        }
        Some(GetRange::Offset(start)) if *start < size => Some(*start..size),
        Some(GetRange::Suffix(length)) if *length > 0 => Some(size.saturating_sub(*length)..size),
        Some(_) => None,
    }
}

fn is_plain(options: &GetOptions) -> bool {
    let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, version, head, .. } = options;
    let has_condition = if_match.is_some() || if_none_match.is_some();
    !head && !has_condition && if_modified_since.is_none() && if_unmodified_since.is_none() && version.is_none()
}

impl fmt::Display for LogCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, logs kept", self.inner)
    }
}

#[async_trait]
impl ObjectStore for LogCache {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        if is_of_log(at)
            && is_plain(&options)
            && let Some((meta, bytes)) = self.whole(at).await?
            && let Some(range) = part(options.range.as_ref(), bytes.len() as u64)
        {
            let bytes = bytes.slice(range.start as usize..range.end as usize);
            let payload = GetResultPayload::Stream(futures::stream::once(async { Ok(bytes) }).boxed());
            return Ok(GetResult { payload, meta, range, attributes: object_store::Attributes::default() });
        }
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if is_of_log(at)
            && let Some((_, bytes)) = self.whole(at).await?
            && ranges.iter().all(|range| range.start <= range.end && range.end <= bytes.len() as u64)
        {
            return Ok(ranges.iter().map(|range| bytes.slice(range.start as usize..range.end as usize)).collect());
        }
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.noting(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.noting(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    const COMMIT: &str = "silver/things/_delta_log/00000000000000000000.json";

    async fn read(cache: &LogCache, range: Option<GetRange>) -> String {
        let options = GetOptions { range, ..GetOptions::default() };
        let found = cache.get_opts(&COMMIT.into(), options).await.unwrap();
        String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap()
    }

    async fn list(cache: &LogCache) {
        let listed: Vec<_> = cache.list(Some(&"silver".into())).collect().await;
        assert_eq!(listed.len(), 1);
    }

    #[tokio::test]
    async fn a_listed_commit_is_read_once_and_one_that_was_made_anew_again() {
        let store = Arc::new(InMemory::new());
        let cache = LogCache::new(Arc::clone(&store) as Arc<DynObjectStore>);
        store.put(&COMMIT.into(), "first".into()).await.unwrap();
        assert_eq!(read(&cache, None).await, "first", "before a listing it is read as it is");
        list(&cache).await;
        assert_eq!(read(&cache, None).await, "first");
        store.put(&COMMIT.into(), "other".into()).await.unwrap();
        assert_eq!(read(&cache, None).await, "first", "as the last listing shows it");
        assert_eq!(read(&cache, Some(GetRange::Bounded(1..3))).await, "ir");
        assert_eq!(read(&cache, Some(GetRange::Suffix(2))).await, "st");
        assert_eq!(cache.get_ranges(&COMMIT.into(), &[0..1, 4..5]).await.unwrap(), ["f", "t"]);
        list(&cache).await;
        assert_eq!(read(&cache, None).await, "other");
    }

    #[test]
    fn only_commits_and_checkpoints_are_kept() {
        let is_of_log = |key: &str| is_of_log(&key.into());
        assert!(is_of_log(COMMIT));
        assert!(is_of_log("gold/x/_delta_log/00000000000000000010.checkpoint.parquet"));
        assert!(!is_of_log("gold/x/_delta_log/_last_checkpoint"));
        assert!(!is_of_log("gold/x/00000000000000000010.json"));
        assert!(!is_of_log("bronze/claims/_loads/00000000000000000010.json"));
    }
}
