use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Host, Url, form_urlencoded};

use super::client::{Client, RegistryReply};
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::secrets::{self, Secret};

const SCOPE: &str = "icdapi_access";
/// Lifetime of a token whose answer does not tell it, in seconds.
const DEFAULT_LIFETIME: u64 = 3600;
/// A token is taken for old this long before its end, or at nine tenths of its life if that is later.
const MARGIN: Duration = Duration::from_mins(1);

/// Tokens of the OAuth2 client credentials flow (RFC 6749, 4.4), one at a time.
pub(super) struct Tokens {
    context: Context,
    url: Url,
    secret_name: String,
    held: Mutex<Held>,
}

struct Held {
    secret: Secret,
    token: Option<Token>,
}

struct Token {
    value: String,
    fresh_until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl Tokens {
    /// Tokens for the client id and secret in a secret.
    ///
    /// # Errors
    /// The address is no URL, or would be sent the secret in the clear; there is no such secret.
    pub(super) async fn new(context: &Context, url: &str, secret_name: &str) -> Result<Self> {
        let url = usable("token_url", url)?;
        let secret = secrets::read(context, secret_name).await?;
        let held = Mutex::new(Held { secret, token: None });
        Ok(Self { context: context.clone(), url, secret_name: secret_name.to_owned(), held })
    }

    /// A token that is not the one that was refused: the current one, or a new one. Those who ask at
    /// the same time wait for one answer.
    pub(super) async fn get(&self, client: &Client, refused: Option<&str>) -> Result<String> {
        let mut held = self.held.lock().await;
        if let Some(token) = &held.token
            && token.fresh_until > Instant::now()
            && refused != Some(token.value.as_str())
        {
            return Ok(token.value.clone());
        }
        let asked_at = Instant::now();
        let granted = self.grant(client, &mut held.secret).await?;
        let lifetime = Duration::from_secs(granted.expires_in.unwrap_or(DEFAULT_LIFETIME));
        let fresh_until = asked_at + lifetime.saturating_sub(MARGIN.min(lifetime / 10));
        held.token = Some(Token { value: granted.access_token.clone(), fresh_until });
        Ok(granted.access_token)
    }

    async fn grant(&self, client: &Client, secret: &mut Secret) -> Result<Granted> {
        if let RegistryReply::Found(granted) = client.json(self.request(secret)?).await? {
            return Ok(granted);
        }
        // It may have been changed since it was read.
        *secret = secrets::renew(&self.context, &self.secret_name, secret).await?;
        match client.json(self.request(secret)?).await? {
            RegistryReply::Found(granted) => Ok(granted),
            RegistryReply::Refused(status) => {
                let (source, name) = (client.source(), &self.secret_name);
                let message = format!("{source}: no token for the secret `{name}`: {}", status.as_u16());
                Err(StageError::bad_config(message))
            }
        }
    }

    fn request(&self, secret: &Secret) -> Result<Request> {
        let part = |name: &str| {
            let text = secret.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.ok_or_else(|| StageError::bad_config(format!("secret `{}` has no `{name}`", self.secret_name)))
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", SCOPE)
            .append_pair("client_id", part("client_id")?)
            .append_pair("client_secret", part("client_secret")?)
            .finish();
        let mut request = Request::new(Method::POST, self.url.clone());
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        *request.body_mut() = Some(form.into());
        Ok(request)
    }
}

/// An address that a secret or a token may be sent to: https, or this machine. `key` is where the
/// configuration has it.
pub(super) fn usable(key: &str, url: &str) -> Result<Url> {
    let bad = |reason: &str| StageError::bad_config(format!("configs/sources.toml: [icd] {key} {reason}"));
    let url = Url::parse(url).map_err(|error| bad(&format!("is no URL: {error}")))?;
    let is_local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() != "https" && !is_local {
        return Err(bad("must be https: it is sent a secret"));
    }
    Ok(url)
}
