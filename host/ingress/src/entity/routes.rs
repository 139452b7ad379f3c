//! The types' own routes: `POST /carts/{id}/items`.

use std::sync::Arc;

use stead_model::{Manifest, Method, Route};

use super::table::{OperationEntry, TypeEntry};

/// Why a route can't be served beside the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteError {
    /// The route's path.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "route {}: {}", self.path, self.reason)
    }
}

impl std::error::Error for RouteError {}

/// Checks that the routes of all these manifests can be served side by side:
/// that each path is one that the router understands, and no two of the same
/// method would catch the same requests. Two do if their paths are alike but
/// for the names of parameters; a fixed segment beside a parameter is fine, and
/// wins.
///
/// # Errors
/// The first route that can't be.
pub fn check_routes<'a>(
    manifests: impl IntoIterator<Item = &'a Manifest>,
) -> Result<(), RouteError> {
    let mut paths: [matchit::Router<()>; METHODS.len()] = Default::default();
    for route in manifests.into_iter().flat_map(|manifest| &manifest.routes) {
        if let Some(paths) = paths.get_mut(index(route.method)) {
            paths.insert(route.path.as_str(), ()).map_err(|error| RouteError {
                path: route.path.clone(),
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}

const METHODS: [Method; 5] =
    [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];

fn index(method: Method) -> usize {
    match method {
        Method::Get => 0,
        Method::Post => 1,
        Method::Put => 2,
        Method::Patch => 3,
        Method::Delete => 4,
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// Where a route leads.
pub struct RouteTarget {
    /// The type.
    pub entity_type: Arc<TypeEntry>,
    /// The command or query.
    pub operation: Arc<OperationEntry>,
}

/// A route that matched, and its parameters, still percent-encoded.
pub struct Matched<'a, 'p> {
    /// Where it leads.
    pub target: &'a RouteTarget,
    /// The parameters.
    pub parameters: matchit::Params<'a, 'p>,
}

/// All routes.
#[derive(Default)]
pub struct Routes {
    by_method: [matchit::Router<RouteTarget>; METHODS.len()],
    /// The routes, for those who ask for another.
    pub known: Vec<String>,
}

impl Routes {
    /// Adds a type's routes. One that can't be served was refused when it was
    /// deployed, so that is said to the log, and the others are served.
    pub fn add(&mut self, entity_type: &Arc<TypeEntry>, manifest: &Manifest) {
        for route in &manifest.routes {
            if let Err(reason) = self.add_one(entity_type, route) {
                let (entity_type, path) = (&manifest.entity_type, &route.path);
                tracing::error!(%entity_type, %path, %reason, "a deployed route can't be served");
            }
        }
    }

    fn add_one(&mut self, entity_type: &Arc<TypeEntry>, route: &Route) -> Result<(), String> {
        let operation = route.command.as_deref().or(route.query.as_deref());
        let operation = operation.and_then(|name| entity_type.operation(name));
        let operation = Arc::clone(operation.ok_or("it leads nowhere")?);
        let target = RouteTarget { entity_type: Arc::clone(entity_type), operation };
        let routes = self.by_method.get_mut(index(route.method)).ok_or("no such method")?;
        routes.insert(route.path.as_str(), target).map_err(|error| error.to_string())?;
        self.known.push(format!("{} {}", name(route.method), route.path));
        Ok(())
    }

    /// The route for a method and path. `HEAD` is answered as `GET`.
    pub fn find<'a, 'p>(&'a self, method: &http::Method, path: &'p str) -> Option<Matched<'a, 'p>> {
        if self.known.is_empty() {
            return None;
        }
        let method = match *method {
            http::Method::GET | http::Method::HEAD => Method::Get,
            http::Method::POST => Method::Post,
            http::Method::PUT => Method::Put,
            http::Method::PATCH => Method::Patch,
            http::Method::DELETE => Method::Delete,
            _ => return None,
        };
        let found = self.by_method.get(index(method))?.at(path).ok()?;
        Some(Matched { target: found.value, parameters: found.params })
    }

    /// The methods that have a route for this path, as `Allow` lists them.
    pub fn methods(&self, path: &str) -> Option<String> {
        let methods: Vec<_> = METHODS
            .into_iter()
            .filter(|method| self.by_method.get(index(*method)).is_some_and(|r| r.at(path).is_ok()))
            .map(|method| if method == Method::Get { "GET, HEAD" } else { name(method) })
            .collect();
        (!methods.is_empty()).then(|| format!("{}, OPTIONS", methods.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use stead_model::EntityType;

    use super::*;

    #[track_caller]
    fn check(routes: &[(Method, &str)], refused: Option<&str>) {
        let mut manifest = Manifest::new(EntityType::new("cart").expect("a type"));
        manifest.routes = routes
            .iter()
            .map(|(method, path)| Route {
                method: *method,
                path: (*path).into(),
                command: None,
                query: None,
            })
            .collect();
        let error = check_routes([&manifest]).err();
        assert_eq!(error.map(|error| error.path).as_deref(), refused);
    }

    #[test]
    fn routes_that_catch_the_same_requests_are_refused() {
        use Method::{Get, Post};
        check(&[(Post, "/a/{id}"), (Get, "/a/{id}")], None);
        check(&[(Post, "/a/{id}"), (Post, "/a/{cart}")], Some("/a/{cart}"));
        check(&[(Post, "/a/{id}/x"), (Post, "/a/{cart}/y")], None);
        check(&[(Post, "/a/{id}"), (Post, "/a/top")], None);
        check(&[(Post, "/a/{id}/b/{c}"), (Post, "/a/{c}/b/{id}")], Some("/a/{c}/b/{id}"));
    }

    #[test]
    fn a_path_that_no_router_understands_is_refused() {
        check(&[(Method::Get, "/a/{id")], Some("/a/{id"));
        check(&[(Method::Get, "/a/{id}/{}")], Some("/a/{id}/{}"));
        check(&[(Method::Get, "/a/{*rest}/{id}")], Some("/a/{*rest}/{id}"));
    }
}
