//! The lake's root and everything below it: the only place that joins paths.

mod layers;
mod log_cache;
mod resumed;
mod s3;
mod upload;

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    DynObjectStore, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use url::Url;

use self::log_cache::LogCache;
pub(crate) use self::resumed::resumed;
pub(crate) use self::upload::Upload;
use crate::bronze::ManifestCache;
use crate::config::StoreEnvironment;
use crate::error::{Result, StageError};

/// Where landed files wait.
pub const LANDING: &str = "landing";
/// Where the configuration lies.
pub const CONFIGS: &str = "configs";
/// Where walks of the ICD API that broke off keep how far they came.
pub const ICD_WALKS: &str = "bronze/icd_codes/_walk";
/// Bytes up to which an object is put with one request.
const LARGEST_PUT: usize = 32 * 1024 * 1024;
/// Bytes that are written to see whether a folder can be written to.
const PROBE_BYTES: usize = 4096;
/// Bytes of a source that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// A lake: one root, and the store that reads and writes below it.
#[derive(Debug, Clone)]
pub struct Lake {
    root: Url,
    store: Arc<DynObjectStore>,
    local_root: Option<PathBuf>,
    manifests: Arc<ManifestCache>,
    logs: Arc<OnceLock<Arc<DynObjectStore>>>,
}

/// How a conditional put ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    Created,
    /// Somebody else has put an object there before.
    AlreadyThere,
}

impl Lake {
    /// Opens the lake at `file:///folder` (made if missing) or `s3://bucket/prefix`, the latter as
    /// the process's environment says.
    ///
    /// # Errors
    /// The URL has another scheme, the folder cannot be made, or the store cannot be set up.
    pub fn open(root: &str) -> Result<Self> {
        Self::open_with(root, &StoreEnvironment::read()?)
    }

    /// As [`Lake::open`], in the environment that is given.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open_with(root: &str, environment: &StoreEnvironment) -> Result<Self> {
        let bad = |reason: String| StageError::bad_config(format!("lake `{root}`: {reason}"));
        let root_url = Url::parse(&format!("{}/", root.trim_end_matches('/'))).map_err(|e| bad(e.to_string()))?;
        match root_url.scheme() {
            "file" => {
                let folder = root_url.to_file_path().map_err(|()| bad("is no absolute folder".to_owned()))?;
                std::fs::create_dir_all(&folder).map_err(|e| bad(e.to_string()))?;
                let store = LocalFileSystem::new_with_prefix(&folder)?.with_automatic_cleanup(true);
                Ok(Self {
                    root: root_url,
                    store: Arc::new(store),
                    local_root: Some(folder),
                    manifests: Arc::default(),
                    logs: Arc::default(),
                })
            }
            "s3" => {
                let store = s3::open(&root_url, environment)?;
                Ok(Self { root: root_url, store, local_root: None, manifests: Arc::default(), logs: Arc::default() })
            }
            other => Err(bad(format!("the scheme must be file or s3, not {other}"))),
        }
    }

    /// A lake in S3 whose requests are made once.
    #[cfg(test)]
    pub(crate) fn open_impatient(root: &str, environment: &StoreEnvironment) -> Result<Self> {
        let root = Url::parse(root).map_err(|error| StageError::bad_config(error.to_string()))?;
        let once = object_store::RetryConfig { max_retries: 0, ..object_store::RetryConfig::default() };
        let store = s3::open_with_retry(&root, environment, once)?;
        Ok(Self { root, store, local_root: None, manifests: Arc::default(), logs: Arc::default() })
    }

    /// An empty lake in memory, which is read as one in S3 is.
    #[must_use]
    pub fn in_memory() -> Self {
        let root = Url::parse("memory:///").unwrap_or_else(|_| unreachable!());
        let store = Arc::new(object_store::memory::InMemory::new());
        Self { root, store, local_root: None, manifests: Arc::default(), logs: Arc::default() }
    }

    /// The same lake through another store, which must have the lake's root as its own.
    #[must_use]
    pub fn with_store(self, store: Arc<DynObjectStore>) -> Self {
        Self { store, manifests: Arc::default(), logs: Arc::default(), ..self }
    }

    /// URL of the root, with a slash at its end.
    #[must_use]
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// The store below the root.
    #[must_use]
    pub fn store(&self) -> Arc<DynObjectStore> {
        Arc::clone(&self.store)
    }

    /// The store below the root, of which the commits and checkpoints of Delta logs are read once through this lake and
    /// its clones.
    #[must_use]
    pub fn store_of_logs(&self) -> Arc<DynObjectStore> {
        Arc::clone(self.logs.get_or_init(|| Arc::new(LogCache::new(self.store()))))
    }

    /// The manifests of load logs that were read through this lake and its clones.
    pub(crate) fn manifests(&self) -> &ManifestCache {
        &self.manifests
    }

    /// URL of something below the root.
    ///
    /// # Errors
    /// The key is no relative path.
    pub fn url(&self, key: &str) -> Result<Url> {
        self.root.join(key).map_err(|error| StageError::bad_config(format!("key `{key}`: {error}")))
    }

    /// Checks that a lake in a folder can be written to. A bucket is not checked: its first write fails if it cannot.
    ///
    /// # Errors
    /// `BadConfig` if it cannot, until somebody acts.
    pub async fn check_writable(&self) -> Result<()> {
        let Some(folder) = &self.local_root else { return Ok(()) };
        let file = folder.join(format!(".rcm-{}", std::process::id()));
        let written = tokio::fs::write(&file, vec![0; PROBE_BYTES]).await;
        let removed = match tokio::fs::remove_file(&file).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        written.and(removed).map_err(|error| {
            let message = format!("the lake {} cannot be written to: {error}", folder.display());
            StageError::of_io(message, &error, StageError::storage)
        })
    }

    /// The file of a key, where the lake is a folder.
    #[must_use]
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.local_root.as_deref().map(|root: &FilePath| root.join(key))
    }

    /// Reads a whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let found = self.store.get(&path(key)).await.map_err(|error| of_object(error, key))?;
        found.bytes().await.map_err(|error| of_object(error, key))
    }

    /// Reads a whole object, or nothing where there is none.
    pub async fn get_if_exists(&self, key: &str) -> Result<Option<Bytes>> {
        match self.store.get(&path(key)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|error| of_object(error, key)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(of_object(error, key)),
        }
    }

    /// Reads some bytes of an object.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&path(key), range).await.map_err(|error| of_object(error, key))
    }

    /// Reads the last bytes of an object, at most `length`, and tells its size.
    pub async fn get_tail(&self, key: &str, length: u64) -> Result<(Bytes, u64)> {
        let options = GetOptions { range: Some(GetRange::Suffix(length)), ..GetOptions::default() };
        let found = self.store.get_opts(&path(key), options).await.map_err(|error| of_object(error, key))?;
        let size = found.meta.size;
        Ok((found.bytes().await.map_err(|error| of_object(error, key))?, size))
    }

    /// Reads some ranges of an object: those that are near to each other with one request.
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        self.store.get_ranges(&path(key), ranges).await.map_err(|error| of_object(error, key))
    }

    /// Size and time of an object, or nothing where there is none.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        match self.store.head(&path(key)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(of_object(error, key)),
        }
    }

    /// Writes an object, in place of one that may be there; a large one in parts, so that a part
    /// that fails is all that has to be sent again.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        if bytes.len() <= LARGEST_PUT {
            let put = self.store.put(&path(key), PutPayload::from(bytes)).await;
            return put.map(|_| ()).map_err(|error| of_object(error, key));
        }
        self.put_from(key, bytes.as_ref()).await
    }

    /// Writes what a source says until its end as an object, which is there as a whole or not at all.
    /// No more than some parts of it are in memory.
    ///
    /// # Errors
    /// `SourceUnavailable` if the source cannot be read; or the store fails.
    pub async fn put_from(&self, key: &str, source: impl AsyncRead + Unpin) -> Result<()> {
        let mut upload = self.upload(key);
        let sent = send(source, key, &mut upload).await;
        if sent.is_err() {
            upload.abort().await;
        }
        sent
    }

    /// An object that is sent while it is written.
    pub(crate) fn upload(&self, key: &str) -> Upload {
        Upload::new(self.store(), path(key))
    }

    /// Writes an object only if there is none: of any number of writers, one wins.
    pub async fn put_if_absent(&self, key: &str, bytes: impl Into<Bytes>) -> Result<PutOutcome> {
        let payload = PutPayload::from(bytes.into());
        match self.store.put_opts(&path(key), payload, PutMode::Create.into()).await {
            Ok(_) => Ok(PutOutcome::Created),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(PutOutcome::AlreadyThere)
            }
            Err(error) => Err(of_object(error, key)),
        }
    }

    /// Removes an object; that it is gone already is no error.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(of_object(error, key)),
        }
    }

    /// Removes objects, as many with one request as the store takes; that one is gone already is no error.
    ///
    /// # Errors
    /// The store does not remove one. Others may be gone by then.
    pub async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        let paths = stream::iter(keys).map(|key| Ok(path(&key))).boxed();
        let mut removed = self.store.delete_stream(paths);
        while let Some(outcome) = removed.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// All objects below a prefix, in the order of their keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let mut found: Vec<ObjectMeta> =
            self.store.list(Some(&path(prefix))).try_collect().await.map_err(|error| of_object(error, prefix))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// The objects below a prefix whose keys come after `offset`, in the order of their keys.
    pub async fn list_after(&self, prefix: &str, offset: &str) -> Result<Vec<ObjectMeta>> {
        let listed = self.store.list_with_offset(Some(&path(prefix)), &path(offset)).try_collect().await;
        let mut found: Vec<ObjectMeta> = listed.map_err(|error| of_object(error, prefix))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Names of the folders right below a prefix.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.store.list_with_delimiter(Some(&path(prefix))).await;
        let found = listed.map_err(|error| of_object(error, prefix))?;
        let mut names: Vec<String> =
            found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }
}

async fn send(mut source: impl AsyncRead + Unpin, key: &str, upload: &mut Upload) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        buffer.clear();
        let read = source.read_buf(&mut buffer).await;
        let read = read.map_err(|error| {
            let message = format!("reading for `{key}`: {}", error.kind());
            StageError::of_io(message, &error, StageError::source_unavailable).of_object(key)
        })?;
        if read == 0 {
            return upload.end().await.map_err(|error| of_object(error, key));
        }
        upload.add(&buffer).await.map_err(|error| of_object(error, key))?;
    }
}

/// The stage's error for one of the store about an object, or about the objects below a prefix.
fn of_object(error: object_store::Error, key: &str) -> StageError {
    StageError::from(error).of_object(key)
}

/// The store's path of a key. A key that a listing gave is taken as it is: encoding it again would
/// name another object.
fn path(key: &str) -> Path {
    Path::parse(key).unwrap_or_else(|_| Path::from(key))
}

/// Path of an entity's silver table.
#[must_use]
pub fn silver(entity: &str) -> String {
    format!("silver/{entity}")
}

/// Path of an entity's quarantine table.
#[must_use]
pub fn quarantine(entity: &str) -> String {
    format!("quarantine/{entity}")
}

/// Path of a gold table.
#[must_use]
pub fn gold(table: &str) -> String {
    format!("gold/{table}")
}

/// Path of an audit table.
#[must_use]
pub fn audit(table: &str) -> String {
    format!("audit/{table}")
}
