//! An object on its way into the store, which can be given up until it is there.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{DynObjectStore, Error, MultipartUpload, ObjectStoreExt};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::{ParquetError, Result};
use tokio::task::JoinSet;

use crate::lake::Lake;

/// Bytes of one part. An object that is smaller is put with one request.
const PART: usize = 10 * 1024 * 1024;
/// Parts that are sent at the same time.
const PARTS_AT_ONCE: usize = 8;

/// An object that is sent part by part while it is written.
pub(super) struct Upload {
    store: Arc<DynObjectStore>,
    path: Path,
    /// What makes no whole part yet.
    waiting: BytesMut,
    /// None before the first part.
    parts: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
}

impl Upload {
    pub(super) fn new(lake: &Lake, key: &str) -> Self {
        Self {
            store: lake.store(),
            path: Path::from(key),
            waiting: BytesMut::new(),
            parts: None,
            sending: JoinSet::new(),
        }
    }

    /// Gives the object up.
    pub(super) async fn abort(mut self) {
        self.sending.shutdown().await;
        if let Some(parts) = &mut self.parts {
            // What cannot be aborted is no more than parts that nothing refers to.
            let _ = parts.abort().await;
        }
    }

    async fn add(&mut self, bytes: &[u8]) -> object_store::Result<()> {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= PART {
            let part = self.waiting.split_to(PART).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> object_store::Result<()> {
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

    async fn send(&mut self, part: Bytes) -> object_store::Result<()> {
        self.until_sending(PARTS_AT_ONCE - 1).await?;
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        self.sending.spawn(parts.put_part(part.into()));
        Ok(())
    }

    /// Waits until no more than so many parts are on their way.
    async fn until_sending(&mut self, most: usize) -> object_store::Result<()> {
        while self.sending.len() > most
            && let Some(sent) = self.sending.join_next().await
        {
            sent.map_err(|_| Error::Generic { store: "upload", source: "a part ended early".into() })??;
        }
        Ok(())
    }
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.add(&bytes).await.map_err(external) })
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.end().await.map_err(external) })
    }
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
