//! What callers see: the entity endpoints and the admin API.
//!
//! Two HTTP servers, one engine below them. [`serve_ingress`] takes commands
//! and queries to their entities; [`serve_admin`] deploys types and shows what
//! the node holds. Both speak HTTP/1.1 (with pipelining) and HTTP/2 (by prior
//! knowledge), and both answer what went wrong as `application/problem+json`.
//! The one exception is what is no HTTP request to begin with, or has a head
//! that is too large: hyper refuses it with a bare `400`, `414` or `431`.
//!
//! The house behind them is whatever implements
//! [`Service`](stead_cluster::api::Service). Nothing here knows partitions,
//! journals or guests.
//!
//! Everything has a limit, see [`ConnectionLimits`], [`BodyLimits`],
//! [`IngressOptions`] and [`AdminOptions`]: how many connections there are, how
//! long each may take over a head, a body or an answer, and how large each part
//! of a request may be.
//!
//! The admin API has no credentials: whoever reaches its port may deploy code.
//! It belongs on a loopback address, or behind something that asks.

#![forbid(unsafe_code)]

mod admin;
mod arguments;
mod body;
mod entity;
mod failure;
mod json;
mod limits;
mod percent;
mod problem;
mod server;

pub use admin::serve_admin;
pub use entity::{RouteError, check_routes, serve_ingress};
pub use limits::{AdminOptions, BodyLimits, ConnectionLimits, IngressOptions};
pub use server::{Served, listen};
