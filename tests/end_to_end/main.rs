//! The whole pipeline, from files to KPIs, as its users run it: one binary, since every test of it
//! links everything.

mod crash;
mod figures;
mod lambda;
mod privacy;
mod readers;
mod replay;
mod scratch;
mod third_hospital;
mod two_runs;
