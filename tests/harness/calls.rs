//! Calls to a node that tests make again and again. A call that gets no answer
//! at all fails the test; what the answer is, is for the test to judge.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::{client::Answer, node::Node};

/// How long tests wait for something that happens by itself.
pub const SOON: Duration = Duration::from_secs(30);

impl Node {
    /// Sends a command with a JSON argument.
    pub async fn call(&self, address: &str, command: &str, body: &Value) -> Answer {
        self.post(&format!("/entities/{address}/{command}"), body).await
    }

    /// Sends JSON with POST to the ingress.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.post(self.ingress, path, &[], body).await.expect("an answer")
    }

    /// Sends a command with a text, for guests that are written without the SDK.
    pub async fn tell(&self, address: &str, command: &str, text: &str) -> Answer {
        let path = format!("/entities/{address}/{command}");
        let headers = [("content-type", "text/plain")];
        self.request(Method::POST, &path, &headers, text.to_owned()).await
    }

    /// Any request to the ingress.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.client.send(method, self.ingress, path, headers, body).await.expect("an answer")
    }

    /// Asks the ingress.
    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(self.ingress, path).await.expect("an answer")
    }

    /// Asks the ingress, and expects a JSON answer with status 200.
    pub async fn ask(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Asks the admin API.
    pub async fn admin_get(&self, path: &str) -> Answer {
        self.client.get(self.admin, path).await.expect("an answer")
    }

    /// Asks the admin API, and expects a JSON answer with status 200.
    pub async fn admin_ask(&self, path: &str) -> Value {
        let answer = self.admin_get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Any request with JSON to the admin API.
    pub async fn admin_send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.client.send(method, self.admin, path, &headers, body).await.expect("an answer")
    }

    /// Uploads a component.
    pub async fn upload(&self, bytes: impl Into<Bytes>) -> Answer {
        self.client
            .send(Method::POST, self.admin, "/components", &[], bytes)
            .await
            .expect("an answer")
    }

    /// Uploads a component's bytes and deploys them.
    ///
    /// # Panics
    /// If the node refuses either.
    pub async fn deploy_bytes(&self, bytes: Vec<u8>, manifest: &Value) -> Value {
        let uploaded = self.upload(bytes).await;
        assert_eq!(uploaded.status, 201, "{}", uploaded.text());
        let name = manifest["type"].as_str().expect("a manifest names its type");
        let body = json!({"component": uploaded.json()["component"], "manifest": manifest});
        let deployed = self.admin_send(Method::PUT, &format!("/types/{name}"), &body).await;
        assert_eq!(deployed.status, 200, "{}", deployed.text());
        deployed.json()
    }

    /// Deploys a component under the manifest file beside it.
    ///
    /// # Panics
    /// If the file can't be read or the node refuses.
    pub async fn deploy_with_file(&self, component: &Path, manifest: &Path) -> Value {
        let text = std::fs::read_to_string(manifest).expect("a manifest file");
        let manifest: Value = toml::from_str(&text).expect("a manifest");
        self.deploy(component, &manifest).await
    }

    /// Waits until something that is asked again and again holds.
    ///
    /// # Panics
    /// If it doesn't before long; `what` says what was waited for.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let until = Instant::now() + SOON;
        while !holds().await {
            assert!(Instant::now() < until, "not within {SOON:?}: {what}\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
