//! The bytes of an object, however long it takes to read them.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{DynObjectStore, Error, GetOptions, GetRange, ObjectMeta, Result};
use tracing::debug;

/// Times that a read is taken up again in a row without a byte that came of it.
const TRIES: u32 = 3;

/// An object as it was when its reading began.
struct Object {
    store: Arc<DynObjectStore>,
    path: Path,
    meta: ObjectMeta,
}

/// How far its reading is.
struct Reading {
    object: Object,
    /// Bytes that have come.
    offset: u64,
    /// What comes of the request that is under way.
    body: BoxStream<'static, Result<Bytes>>,
    /// Tries since the last byte.
    tries: u32,
}

/// Reads on where a body ends early. The store ends one after a time that is for single requests; whoever reads a
/// large file row by row takes longer than that.
pub(crate) fn resumed(
    store: Arc<DynObjectStore>,
    path: Path,
    meta: ObjectMeta,
    body: BoxStream<'static, Result<Bytes>>,
) -> BoxStream<'static, Result<Bytes>> {
    let reading = Reading { object: Object { store, path, meta }, offset: 0, body, tries: 0 };
    stream::try_unfold(reading, next).boxed()
}

async fn next(mut reading: Reading) -> Result<Option<(Bytes, Reading)>> {
    loop {
        match reading.body.try_next().await {
            Ok(Some(bytes)) => {
                reading.offset += bytes.len() as u64;
                reading.tries = 0;
                return Ok(Some((bytes, reading)));
            }
            Ok(None) => return Ok(None),
            Err(_) if reading.offset >= reading.object.meta.size => return Ok(None),
            Err(error) if reading.tries >= TRIES => return Err(error),
            Err(error) => {
                debug!(offset = reading.offset, message = %error, "a body ended early and is read on");
                reading.tries += 1;
                match reading.object.rest(reading.offset).await {
                    Ok(body) => reading.body = body,
                    // The object is another one now: what has come of it fits to nothing.
                    Err(changed @ Error::Precondition { .. }) => return Err(changed),
                    Err(again) => reading.body = stream::once(async { Err(again) }).boxed(),
                }
            }
        }
    }
}

impl Object {
    /// Asks for the same object from an offset on.
    async fn rest(&self, offset: u64) -> Result<BoxStream<'static, Result<Bytes>>> {
        let options = GetOptions {
            if_match: self.meta.e_tag.clone(),
            range: Some(GetRange::Bounded(offset..self.meta.size)),
            ..GetOptions::default()
        };
        Ok(self.store.get_opts(&self.path, options).await?.into_stream())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;

    fn ended<T: Send + 'static>() -> BoxStream<'static, Result<T>> {
        let error = Error::Generic { store: "test", source: "the time is up".into() };
        stream::once(async { Err(error) }).boxed()
    }

    /// The first bytes of a text, and then the end of the connection.
    fn broken(text: &'static str) -> BoxStream<'static, Result<Bytes>> {
        let bytes = text.as_bytes().chunks(2).map(|chunk| Ok(Bytes::from_static(chunk)));
        stream::iter(bytes.collect::<Vec<_>>()).chain(ended()).boxed()
    }

    async fn stored(text: &'static str) -> (Arc<DynObjectStore>, Path, ObjectMeta) {
        let (store, path) = (Arc::new(InMemory::new()) as Arc<DynObjectStore>, Path::from("landing/claims/a.csv"));
        store.put(&path, PutPayload::from_static(text.as_bytes())).await.unwrap();
        let meta = store.head(&path).await.unwrap();
        (store, path, meta)
    }

    async fn text(bytes: BoxStream<'static, Result<Bytes>>) -> Result<String> {
        let bytes: Vec<Bytes> = bytes.try_collect().await?;
        Ok(String::from_utf8(bytes.concat()).unwrap())
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_read_on_where_it_ended() {
        let (store, path, meta) = stored("id,amount\n1,20\n").await;
        for came in ["", "id,amo", "id,amount\n1,20\n"] {
            let bytes = resumed(Arc::clone(&store), path.clone(), meta.clone(), broken(came));
            assert_eq!(text(bytes).await.unwrap(), "id,amount\n1,20\n", "after `{came}`");
        }
    }

    #[tokio::test]
    async fn an_object_that_was_replaced_meanwhile_is_not_read_on() {
        let (store, path, meta) = stored("id,amount\n1,20\n").await;
        store.put(&path, PutPayload::from_static(b"id,amount\n2,30\n")).await.unwrap();
        let read = text(resumed(store, path, meta, broken("id,amo"))).await;
        assert!(matches!(read, Err(Error::Precondition { .. })), "{read:?}");
    }

    #[tokio::test]
    async fn a_store_of_which_nothing_comes_any_more_is_given_up() {
        let (_, path, meta) = stored("id,amount\n").await;
        let gone = Arc::new(InMemory::new()) as Arc<DynObjectStore>;
        assert!(text(resumed(gone, path, meta, broken("id"))).await.is_err());
    }
}
