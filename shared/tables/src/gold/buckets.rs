//! The buckets of a silver table, from which gold is made one by one.

use std::future::Future;

use futures::{StreamExt, TryStreamExt, stream};
use rcm_platform::error::Result;
use xxhash_rust::xxh3::Xxh3;

use crate::delta::DataFile;

/// Buckets that are read and written at the same time.
const AT_ONCE: usize = 2;

/// Files of a bucket of a silver table; no key is in two buckets.
#[derive(Clone)]
pub struct Bucket {
    /// The value of the partition column.
    pub name: Option<String>,
    pub files: Vec<DataFile>,
}

impl Bucket {
    /// Returns a hash of the files of the bucket and of what else decides about what is made from them. A file never
    /// changes, so that an equal hash means equal rows.
    #[must_use]
    pub fn fingerprint(&self, made_by: &str) -> u64 {
        let mut paths: Vec<String> = self.files.iter().map(DataFile::path).collect();
        paths.sort_unstable();
        let mut hasher = Xxh3::new();
        for part in std::iter::once(made_by).chain(paths.iter().map(String::as_str)) {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        hasher.digest()
    }
}

/// Does the work of some buckets, two at once, and folds the results in their order.
///
/// # Errors
/// The first error.
pub async fn two_at_once<T, A, F: Future<Output = Result<A>>>(
    work: impl Iterator<Item = impl Future<Output = Result<T>>>,
    initial: A,
    fold: impl FnMut(A, T) -> F,
) -> Result<A> {
    stream::iter(work).buffered(AT_ONCE).try_fold(initial, fold).await
}
