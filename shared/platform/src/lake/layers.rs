//! A bucket whose layers are encrypted with keys of their own.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, DynObjectStore, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// One bucket through several stores: a write goes through that of its layer, which names the
/// layer's key; everything else, and what belongs to no layer, through the common one.
#[derive(Debug)]
pub(super) struct LayeredStore {
    pub(super) common: Arc<DynObjectStore>,
    /// Stores by the first segment of the paths that are written through them.
    pub(super) layers: Vec<(String, Arc<DynObjectStore>)>,
}

impl LayeredStore {
    fn writer(&self, location: &Path) -> &DynObjectStore {
        let layer = location.parts().next();
        let of_layer = self.layers.iter().find(|(name, _)| layer.as_ref().is_some_and(|layer| layer.as_ref() == name));
        of_layer.map_or(&self.common, |(_, store)| store).as_ref()
    }
}

impl fmt::Display for LayeredStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} by layers", self.common)
    }
}

#[async_trait]
impl ObjectStore for LayeredStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.writer(location).put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.writer(location).put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.common.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.common.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.common.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.common.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.common.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.common.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.writer(to).copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.writer(to).rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_write_goes_through_the_store_of_its_layer() {
        let [common, silver] = [(), ()].map(|()| Arc::new(InMemory::new()) as Arc<DynObjectStore>);
        let store =
            LayeredStore { common: Arc::clone(&common), layers: vec![("silver".to_owned(), Arc::clone(&silver))] };
        for key in ["silver/patients/a", "silvers/b", "audit/silver/c"] {
            store.put(&Path::from(key), PutPayload::new()).await.unwrap();
        }
        assert!(silver.head(&Path::from("silver/patients/a")).await.is_ok());
        assert!(common.head(&Path::from("silver/patients/a")).await.is_err());
        for key in ["silvers/b", "audit/silver/c"] {
            assert!(common.head(&Path::from(key)).await.is_ok(), "{key}");
        }
    }
}
