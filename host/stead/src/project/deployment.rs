//! Uploading a component and deploying it under a manifest.

use std::time::Duration;

use http::{HeaderValue, Method};
use serde_json::Value;
use stead_cluster::api::{ComponentInfo, DeployedType};
use stead_model::Manifest;

use super::Component;
use crate::{
    client::{self, Client, Request},
    failure::Failure,
    output::{Screen, bytes_bar, spinner},
};

/// Compiling a large component takes its time, on the node.
pub const DEPLOY_TIMEOUT_MIN: Duration = Duration::from_secs(300);

/// What came of a deployment.
pub struct Deployment {
    /// The type as it is deployed.
    pub deployed: DeployedType,
    /// Whether it was deployed just so before, and nothing was done.
    pub unchanged: bool,
}

impl Deployment {
    /// It, for programs: the type as the admin API shows it, and `unchanged`.
    pub fn to_json(&self) -> Result<Value, Failure> {
        let mut value = serde_json::to_value(&self.deployed)
            .map_err(|error| Failure::failed(format!("the result could not be shown: {error}")))?;
        if let Some(object) = value.as_object_mut() {
            object.insert("unchanged".into(), Value::Bool(self.unchanged));
        }
        Ok(value)
    }
}

/// Deploys a component under a manifest, unless it is deployed just so already.
pub async fn deploy(
    admin: &Client,
    component: &Component,
    manifest: &Manifest,
    screen: &Screen,
) -> Result<Deployment, Failure> {
    let name = &manifest.entity_type;
    let path = client::entity_type(name);
    if let Some(present) = present(admin, &path).await?
        && present.component == component.hash()
        && present.manifest == *manifest
    {
        return Ok(Deployment { deployed: present, unchanged: true });
    }
    let info = upload(admin, component, screen).await?;
    let what = format!("deploying {name}");
    let _spinner = spinner(screen, &what);
    let body = serde_json::json!({"component": info.component, "manifest": manifest});
    let request = Request::new(Method::PUT, path).json(&body);
    let deployed = admin.send(&what, request).await?.json(&what)?;
    Ok(Deployment { deployed, unchanged: false })
}

/// The type as it is deployed now, if it is.
async fn present(admin: &Client, path: &str) -> Result<Option<DeployedType>, Failure> {
    let what = "asking what is deployed";
    match admin.send(what, Request::get(path)).await {
        Ok(answer) => answer.json(what).map(Some),
        Err(failure) if failure.exit == crate::failure::Exit::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn upload(
    admin: &Client,
    component: &Component,
    screen: &Screen,
) -> Result<ComponentInfo, Failure> {
    let what = format!("uploading {}", component.path.display());
    let size = u64::try_from(component.bytes.len()).unwrap_or(u64::MAX);
    let request = Request::new(Method::POST, "/components")
        .body(HeaderValue::from_static("application/wasm"), component.bytes.clone());
    let progress = bytes_bar(screen, size, "uploading");
    let answer = admin.try_send(request, Some(progress)).await;
    let info: ComponentInfo = answer.map_err(|error| error.into_failure(&what))?.json(&what)?;
    if info.component != component.hash() {
        return Err(Failure::failed(format!(
            "{what}: the node received other bytes than were sent ({} instead of {})",
            info.component,
            component.hash()
        )));
    }
    Ok(info)
}
