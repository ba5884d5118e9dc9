//! The whole pipeline, from files to KPIs, as its users run it: one binary, since every test of it
//! links everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]

mod binaries;
mod commit_race;
mod crash;
mod figures;
mod kill;
mod lambda;
mod maintenance;
mod no_folder;
mod parity;
mod privacy;
mod readers;
mod replay;
mod rollback;
mod scratch;
mod seaweed;
mod streams_apart;
mod third_hospital;
mod two_runs;
