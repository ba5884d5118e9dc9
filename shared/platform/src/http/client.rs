use std::time::Duration;

use chrono::DateTime;
use rand::Rng;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use tracing::warn;

use super::pace::Pace;
use crate::config::Http;
use crate::context::{Clock, Context};
use crate::error::{Result, StageError};

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("rcm/", env!("CARGO_PKG_VERSION"));

/// One registry and how it is asked. Errors say its name and never a URL, which may hold an
/// identifier.
pub struct Client {
    source: &'static str,
    http: reqwest::Client,
    pace: Pace,
    clock: Clock,
    tries: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

/// What a registry said.
#[derive(Debug)]
pub enum Answer<T> {
    Found(T),
    /// It will not answer this request, however often it is asked.
    Refused(StatusCode),
}

/// A try that came to nothing.
struct Failed {
    error: StageError,
    /// The pause that the server asked for.
    retry_after: Option<Duration>,
}

impl Client {
    /// A client for the registry of this name.
    ///
    /// # Errors
    /// The options make no sense, or TLS cannot be set up.
    pub fn new(context: &Context, source: &'static str, options: &Http) -> Result<Self> {
        let timeout = Http::seconds("timeout_seconds", options.timeout_seconds)?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .timeout(timeout)
            .build()
            .map_err(|error| StageError::BadConfig(format!("{source}: {}", error.without_url())))?;
        Ok(Self {
            source,
            http,
            pace: Pace::new(options.interval()?),
            clock: context.clock.clone(),
            tries: options.tries.max(1),
            first_pause: Http::seconds("first_pause_seconds", options.first_pause_seconds)?,
            longest_pause: Http::seconds("longest_pause_seconds", options.longest_pause_seconds)?,
        })
    }

    /// Name of the registry, as messages have it.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Sends a request until it is answered with JSON, and reads that.
    ///
    /// Lost connections, server errors, time-outs and answers that break off are worth another try,
    /// after a pause that doubles; so is a request for patience, after the pause it asks for.
    ///
    /// # Errors
    /// The last try's own; `BrokenContract` if the JSON is not of the shape of `T`.
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<Answer<T>> {
        let mut attempt = 1;
        loop {
            self.pace.turn().await;
            let Some(copy) = request.try_clone() else {
                return Err(StageError::BadConfig(format!("{}: a request that cannot be repeated", self.source)));
            };
            let Failed { error, retry_after } = match self.send(copy).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = retry_after.unwrap_or_else(|| self.pause_after(attempt));
            if attempt >= self.tries || !error.is_retryable() || pause > self.longest_pause {
                return Err(error);
            }
            warn!(source = self.source, error = %error, attempt, "asking again");
            if retry_after.is_some() {
                self.pace.hold(pause);
            }
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn send<T: DeserializeOwned>(&self, request: Request) -> std::result::Result<Answer<T>, Failed> {
        let response = self.http.execute(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT || status.is_server_error()
        {
            return Err(self.put_off(status, response.headers()));
        }
        if !status.is_success() {
            return Ok(Answer::Refused(status));
        }
        let body = self.body(response).await?;
        let value = serde_json::from_slice(&body).map_err(|error| self.unreadable(&error))?;
        Ok(Answer::Found(value))
    }

    async fn body(&self, mut response: Response) -> std::result::Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                let message = format!("{}: an answer has more than {ANSWER_LIMIT} bytes", self.source);
                return Err(StageError::BrokenContract(message).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        let source = self.source;
        let error = if error.is_timeout() {
            StageError::Timeout(format!("{source}: no answer in time"))
        } else if error.is_connect() {
            StageError::SourceUnavailable(format!("{source}: no connection"))
        } else {
            StageError::SourceUnavailable(format!("{source}: the answer broke off"))
        };
        error.into()
    }

    fn put_off(&self, status: StatusCode, headers: &HeaderMap) -> Failed {
        let retry_after = self.retry_after(headers);
        let wish = retry_after.map(|pause| format!(" and asks to wait {} s", pause.as_secs())).unwrap_or_default();
        let message = format!("{}: answers {}{wish}", self.source, status.as_u16());
        let error = if status == StatusCode::TOO_MANY_REQUESTS {
            StageError::Throttled(message)
        } else {
            StageError::SourceUnavailable(message)
        };
        Failed { error, retry_after }
    }

    /// What is no JSON at all is the page of a proxy or half an answer; JSON of another shape is what
    /// the registry means.
    fn unreadable(&self, error: &serde_json::Error) -> Failed {
        let source = self.source;
        let error = if error.is_data() {
            StageError::BrokenContract(format!("{source}: an answer of an unexpected shape"))
        } else {
            StageError::SourceUnavailable(format!("{source}: an answer that is no JSON"))
        };
        error.into()
    }

    /// Seconds or a date, which is held against the server's own clock where it tells it.
    /// Source: RFC 9110, 10.2.3.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
        let value = text(RETRY_AFTER)?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = DateTime::parse_from_rfc2822(value).ok()?;
        let now = text(DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let now = now.unwrap_or_else(|| self.clock.now().fixed_offset());
        Some((at - now).to_std().unwrap_or_default())
    }

    /// Drawn between half and the whole, so that those who failed together do not come back together.
    fn pause_after(&self, attempt: u32) -> Duration {
        let longest = self.first_pause.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(self.longest_pause);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

impl From<StageError> for Failed {
    fn from(error: StageError) -> Self {
        Self { error, retry_after: None }
    }
}
