//! Stand-ins for the registries that a lake requests over HTTP. They run on this machine, only for the demo, and
//! return made-up data.

mod icd;
mod npi;
mod server;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use rcm_platform::config::{Http, Icd, Npi, NpiSearch, Sources};
use serde_json::json;

use self::server::Server;

/// Name of the secret of the ICD API.
const SECRET: &str = "demo-icd-api";

/// Both registries. They stop when this value is dropped.
#[derive(Debug)]
pub struct StandIns {
    npi: Server,
    icd: Server,
}

impl StandIns {
    /// Starts both registries. The NPI registry has the providers in the extracts `<emr>/<datasource>/providers.csv`.
    ///
    /// # Errors
    /// An extract cannot be read, or no port is free.
    pub async fn start(emr: &Path) -> io::Result<Self> {
        let entries = npi::Entries::of_extracts(emr)?;
        Ok(Self {
            npi: Server::start(move |request| entries.answer(request)).await?,
            icd: Server::start(icd::answer).await?,
        })
    }

    /// Returns the URL of the NPI registry.
    #[must_use]
    pub fn npi_url(&self) -> String {
        self.npi.url()
    }

    /// Returns the URL of the ICD API.
    #[must_use]
    pub fn icd_url(&self) -> String {
        self.icd.url()
    }

    /// Returns a text that names the registries and their URLs.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "\nMade-up registries answer over HTTP on this machine while the demo runs\n  \
             NPI registry: {}\n  ICD API:      {}\n",
            self.npi_url(),
            self.icd_url()
        )
    }

    /// Configures a lake to use the stand-ins.
    pub fn configure(&self, sources: &mut Sources) {
        let http = Http { concurrency: 8, requests_per_second: 2_000.0, ..Http::default() };
        let search = NpiSearch {
            state: Some(npi::STATE.to_owned()),
            taxonomy_description: Some("Cardiology".to_owned()),
            ..NpiSearch::default()
        };
        sources.npi = Some(Npi {
            base_url: format!("{}/api/", self.npi_url()),
            // Less than the time between two deliveries of the demo, so that each run requests again.
            max_age_days: 29,
            searches: vec![search],
            taxonomies: Vec::new(),
            http: http.clone(),
        });
        sources.icd = Some(Icd {
            base_url: self.icd_url(),
            token_url: Some(format!("{}{}", self.icd_url(), icd::TOKEN_PATH)),
            secret: Some(SECRET.to_owned()),
            release: icd::RELEASE.to_owned(),
            language: "en".to_owned(),
            chapters: vec!["IV".to_owned(), "IX".to_owned()],
            max_age_days: 180,
            http,
        });
    }

    /// Writes the file with the secret that [`Self::configure`] names, and returns its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_secret(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join("secrets.json");
        let secret = json!({SECRET: {"client_id": icd::CLIENT_ID, "client_secret": icd::CLIENT_SECRET}});
        std::fs::write(&path, secret.to_string())?;
        Ok(path)
    }
}
