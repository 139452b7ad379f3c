//! Keeps web pages from using the admin API.
//!
//! A page from anywhere may make the operator's browser send requests to a
//! loopback address. Two rules stop it. A request that says which page it comes
//! from has to come from this API's own: that stops forged ones. And while only
//! this machine reaches the API, it has to be asked for under a name of this
//! machine: that stops pages whose own name was pointed here after they loaded.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{HOST, ORIGIN},
};
use stead_cluster::api::Service;

use super::Admin;
use crate::problem::Problem;

/// Lets a request through, or answers `403`.
pub async fn check<S: Service>(
    State(admin): State<Admin<S>>,
    request: Request,
    next: Next,
) -> Response {
    match judge(request.headers(), request.uri(), admin.loopback) {
        Ok(()) => next.run(request).await,
        Err(reason) => {
            Problem::new(StatusCode::FORBIDDEN, "foreign-origin", reason).into_response()
        }
    }
}

fn judge(headers: &HeaderMap, uri: &Uri, loopback: bool) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str());
    let host = match (uri.authority(), text(HOST)) {
        // HTTP/2 has it in the URI.
        (Some(authority), _) => authority.as_str(),
        (None, Some(Ok(host))) => host,
        (None, Some(Err(_))) => return Err("the Host header is not text"),
        (None, None) => "",
    };
    if loopback && !host.is_empty() && !is_this_machine(host) {
        return Err(
            "the admin API listens on this machine alone, and is asked for under another name; use localhost or its address",
        );
    }
    match text(ORIGIN) {
        None => Ok(()),
        Some(Ok(origin)) if origin.split_once("://").is_some_and(|(_, of)| of == host) => Ok(()),
        Some(_) => Err("web pages of other origins may not use the admin API"),
    }
}

/// Whether a host, with or without a port, is a name or an address of this machine.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, origin: Option<&str>, loopback: bool, through: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("a header"));
        }
        let judged = judge(&headers, &Uri::from_static("/types"), loopback);
        assert_eq!(judged.is_ok(), through, "{host} {origin:?} {judged:?}");
    }

    #[test]
    fn foreign_pages_are_kept_out() {
        for host in ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "a.localhost", "LOCALHOST"] {
            check(host, None, true, true);
            check(host, Some(&format!("http://{host}")), true, true);
            check(host, Some("http://evil.example"), true, false);
            check(host, Some("null"), true, false);
        }
        check("evil.example:8081", None, true, false);
        check("evil.example:8081", Some("http://evil.example:8081"), true, false);
        check("localhost.evil.example", None, true, false);
        check("node-1.internal:8081", None, false, true);
        check("node-1.internal:8081", Some("http://evil.example"), false, false);
    }
}
