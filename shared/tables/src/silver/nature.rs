//! The nature of loads: extracts and events.

use rcm_platform::bronze::Manifest;
use rcm_platform::config::LoadKind;

/// What the rows of a load are, which decides how they become versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Rows that the source held when it was read: of a hospital's table, a pull, a whole list that landed. The last
    /// extract decides which version is current.
    Extract,
    /// Landed events, which may come late, twice and in any order. Their modified times decide.
    Event,
}

impl Nature {
    /// Returns the nature of a load.
    pub(super) fn of(load: &Manifest) -> Self {
        let kind = load.correction.as_ref().map_or(load.kind, |correction| correction.kind);
        if load.has_landed() && kind == LoadKind::Upsert { Self::Event } else { Self::Extract }
    }
}

/// Whether a load is a full extract: a key that it lacks is deleted.
pub(super) fn is_full(load: &Manifest) -> bool {
    load.kind == LoadKind::Snapshot
}
