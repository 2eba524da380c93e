//! Calls to the simulated provider with a plain client.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::At;
use crate::provider::BEARER;

/// A client that has so many calls under way and no more.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: String,
    in_flight: Arc<Semaphore>,
}

impl Client {
    pub(crate) fn new(at: &At) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {BEARER}"))?);
        let account = HeaderName::from_static("x-payment-account-uid");
        headers.insert(account, HeaderValue::from_static("pa_main"));
        let http = reqwest::Client::builder().no_proxy().default_headers(headers).build()?;
        let in_flight = Arc::new(Semaphore::new(at.in_flight));
        Ok(Self { http, base_url: at.base_url.clone(), in_flight })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(self.http.get(format!("{}{path}", self.base_url))).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let request = self.http.post(format!("{}{path}", self.base_url));
        let request = request.header(CONTENT_TYPE, "application/json");
        self.call(request.body(serde_json::to_vec(body)?)).await
    }

    async fn call<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        let _permit = self.in_flight.acquire().await?;
        let response = request.send().await?.error_for_status()?;
        serde_json::from_slice(&response.bytes().await?).context("an answer cannot be read")
    }
}
