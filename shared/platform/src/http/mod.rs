//! Registries that are asked over HTTP: politely paced, and asked again where that may help.

mod client;
pub mod icd;
pub mod npi;
mod pace;
#[cfg(test)]
mod tests;
mod token;

pub use self::client::{Client, RegistryReply};
