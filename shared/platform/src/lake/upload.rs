//! An object on its way into the store, which can be given up until it is there.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{DynObjectStore, Error, MultipartUpload, ObjectStoreExt, Result};
use tokio::task::JoinSet;

/// Bytes of one part. An object that is smaller is put with one request.
const PART: usize = 10 * 1024 * 1024;
/// Parts that are sent at the same time.
const PARTS_AT_ONCE: usize = 8;

/// An object that is sent part by part while it is written.
pub(crate) struct Upload {
    store: Arc<DynObjectStore>,
    path: Path,
    /// What makes no whole part yet.
    waiting: BytesMut,
    /// None before the first part.
    parts: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<Result<()>>,
}

impl Upload {
    pub(super) fn new(store: Arc<DynObjectStore>, path: Path) -> Self {
        Self { store, path, waiting: BytesMut::new(), parts: None, sending: JoinSet::new() }
    }

    /// Gives the object up.
    pub(crate) async fn abort(mut self) {
        self.sending.shutdown().await;
        if let Some(parts) = &mut self.parts {
            // What cannot be aborted is no more than parts that nothing refers to.
            let _ = parts.abort().await;
        }
    }

    /// Takes the next bytes, and sends what makes a part.
    pub(crate) async fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= PART {
            let part = self.waiting.split_to(PART).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    /// Sends the rest. The object is there from then on.
    pub(crate) async fn end(&mut self) -> Result<()> {
        let rest = self.waiting.split().freeze();
        if self.parts.is_none() {
            self.store.put(&self.path, rest.into()).await?;
            return Ok(());
        }
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        self.until_sending(0).await?;
        if let Some(parts) = &mut self.parts {
            parts.complete().await?;
        }
        Ok(())
    }

    async fn send(&mut self, part: Bytes) -> Result<()> {
        self.until_sending(PARTS_AT_ONCE - 1).await?;
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        self.sending.spawn(parts.put_part(part.into()));
        Ok(())
    }

    /// Waits until no more than so many parts are on their way.
    async fn until_sending(&mut self, most: usize) -> Result<()> {
        while self.sending.len() > most
            && let Some(sent) = self.sending.join_next().await
        {
            sent.map_err(|_| Error::Generic { store: "upload", source: "a part ended early".into() })??;
        }
        Ok(())
    }
}
