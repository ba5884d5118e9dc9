//! Crash safety: if any single write of a run fails, the next run produces the same lake as an undisturbed run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, DynObjectStore, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use rcm::demo;
use rcm::pipeline::{RETRY, Retry};

use crate::scratch::{Scratch, SmallHospital, as_of};

/// How the chosen write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The write is not done.
    NotDone,
    /// The write is done, and reported as failed.
    DoneButReported,
}

/// A store in which one write, counted from 0, fails, and every later write too until the fault is removed, as if the
/// process had died.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) inner: Arc<DynObjectStore>,
    pub(crate) fault: Fault,
    /// Number of writes that succeed before one fails.
    pub(crate) left: Arc<AtomicI64>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "faulty {}", self.inner)
    }
}

impl Faulty {
    /// Returns whether this write is done, and whether it is reported as failed.
    fn verdict(left: &AtomicI64, fault: Fault) -> (bool, bool) {
        match left.fetch_sub(1, Ordering::SeqCst) {
            before if before > 0 => (true, false),
            0 => (fault == Fault::DoneButReported, true),
            _ => (false, true),
        }
    }

    fn check(&self) -> (bool, bool) {
        Self::verdict(&self.left, self.fault)
    }

    /// Returns whether the fault has happened: from then on all other requests are refused too.
    fn is_dead(left: &AtomicI64) -> bool {
        left.load(Ordering::SeqCst) < 0
    }
}

fn failed() -> Error {
    Error::Generic { store: "faulty", source: "the connection was lost".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (done, reported) = self.check();
        if !done {
            return Err(failed());
        }
        let result = self.inner.put_opts(location, payload, options).await;
        if reported { Err(failed()) } else { result }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if Self::is_dead(&self.left) {
            return Err(failed());
        }
        let upload = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(FaultyUpload { inner: upload, fault: self.fault, left: Arc::clone(&self.left) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let left = Arc::clone(&self.left);
        let locations = locations.map(move |location| if Self::is_dead(&left) { Err(failed()) } else { location });
        self.inner.delete_stream(locations.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (done, reported) = self.check();
        if !done {
            return Err(failed());
        }
        let result = self.inner.copy_opts(from, to, options).await;
        if reported { Err(failed()) } else { result }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (done, reported) = self.check();
        if !done {
            return Err(failed());
        }
        let result = self.inner.rename_opts(from, to, options).await;
        if reported { Err(failed()) } else { result }
    }
}

/// An upload whose last step counts as the write.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    fault: Fault,
    left: Arc<AtomicI64>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if Faulty::is_dead(&self.left) {
            return Box::pin(async { Err(failed()) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (done, reported) = Faulty::verdict(&self.left, self.fault);
        if !done {
            return Err(failed());
        }
        let result = self.inner.complete().await;
        if reported { Err(failed()) } else { result }
    }

    async fn abort(&mut self) -> Result<()> {
        if Faulty::is_dead(&self.left) {
            return Err(failed());
        }
        self.inner.abort().await
    }
}

/// Maximum number of writes of a run; a run with more would leave faults untested.
const MOST_WRITES: i64 = 400;

/// No retries, because a dead process does not retry.
const NEVER_AGAIN: Retry = Retry { max_attempts: 0, ..RETRY };

/// Makes a lake before a delivery: an empty lake, or a lake with the first delivery.
async fn lake_before(delivery: usize) -> (Scratch, SmallHospital) {
    let scratch = Scratch::new().await;
    // Rows of a batch are put down in the lake, so that this is a write too.
    scratch.edit("configs/sources.toml", "memory_mb = 256", "memory_mb = 0");
    let hospital = SmallHospital::write(&scratch);
    for earlier in 0..delivery {
        scratch.set_clock(demo::EXTRACTED_AT[earlier]);
        scratch.land(&hospital.landing[earlier]).await;
        let run = scratch.run(&hospital.emr[earlier], as_of()).await;
        assert!(run.is_complete(), "{:?}", run.failures);
    }
    scratch.set_clock(demo::EXTRACTED_AT[delivery]);
    scratch.land(&hospital.landing[delivery]).await;
    (scratch, hospital)
}

/// Lets each write of the run of a delivery fail in turn. The next run must succeed and produce the lake of an
/// undisturbed run.
async fn every_write_may_fail(fault: Fault, delivery: usize) {
    let (before, hospital) = lake_before(delivery).await;
    let emr = &hospital.emr[delivery];
    let undisturbed = before.copy();
    assert!(undisturbed.run(emr, as_of()).await.is_complete());
    let expected = undisturbed.content().await;
    for write in 0..MOST_WRITES {
        let mut scratch = before.copy();
        let left = Arc::new(AtomicI64::new(write));
        let faulty = Faulty { inner: scratch.lake().store(), fault, left: Arc::clone(&left) };
        scratch.through(Some(Arc::new(faulty)));
        scratch.run_with(emr, as_of(), NEVER_AGAIN).await.ok();
        scratch.through(None);
        if left.load(Ordering::SeqCst) >= 0 {
            assert!(write > 50, "a run has more writes than {write}");
            return;
        }
        let mended = scratch.run(emr, as_of()).await;
        assert!(mended.is_complete(), "after write {write} ({fault:?}): {:?}", mended.failures);
        let content = scratch.content().await;
        for (table, rows) in &expected {
            assert_eq!(Some(rows), content.get(table), "{table} after write {write} failed ({fault:?})");
        }
        assert_eq!(expected.len(), content.len(), "tables after write {write} failed ({fault:?})");
    }
    panic!("a run has {MOST_WRITES} writes or more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_whose_write_is_not_done_is_completed_by_the_next() {
    every_write_may_fail(Fault::NotDone, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_whose_write_is_done_but_reported_as_failed_is_completed_by_the_next() {
    every_write_may_fail(Fault::DoneButReported, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_whose_write_is_not_done_is_completed_by_the_next() {
    every_write_may_fail(Fault::NotDone, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_whose_write_is_done_but_reported_as_failed_is_completed_by_the_next() {
    every_write_may_fail(Fault::DoneButReported, 1).await;
}
