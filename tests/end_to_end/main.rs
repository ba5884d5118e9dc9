//! Tests of the whole pipeline, from files to KPIs. They are one binary, because every test links everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]

mod binaries;
mod closing;
mod commit_race;
mod crash;
mod desk;
mod engines;
mod examples;
mod extracts;
mod figures;
mod files;
mod held_up;
mod hospital;
mod kill;
mod lambda;
mod ledger;
mod lists;
mod look;
mod maintenance;
mod mappings;
mod migration;
mod no_folder;
mod old_lake;
mod one_id;
mod parity;
mod past;
mod postgres;
mod present;
mod privacy;
mod readers;
mod rebuild;
mod renamed;
mod replay;
mod report;
mod resources;
mod rollback;
mod scratch;
mod seaweed;
mod streams_apart;
mod sums;
mod third_hospital;
mod two_runs;
mod unusable;
mod waiting;
mod words;
