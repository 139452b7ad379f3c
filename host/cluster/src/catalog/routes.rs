//! Whose a route is: two types may not catch the same request.

use std::collections::BTreeMap;

use stead_model::{EntityType, Manifest, Route};

/// The type, other than the manifest's own, that has a route which would catch
/// requests of one of the manifest's; and that route's path. Two routes do if
/// their methods are the same and their paths alike but for parameter names.
pub fn route_owner<'a>(
    manifest: &Manifest,
    others: impl IntoIterator<Item = &'a Manifest>,
) -> Option<(String, EntityType)> {
    let mut taken = BTreeMap::new();
    for other in others.into_iter().filter(|other| other.entity_type != manifest.entity_type) {
        for route in &other.routes {
            taken.insert((route.method, shape(route)), &other.entity_type);
        }
    }
    manifest.routes.iter().find_map(|route| {
        let owner = taken.get(&(route.method, shape(route)))?;
        Some((route.path.clone(), EntityType::clone(owner)))
    })
}

fn shape(route: &Route) -> String {
    let segments = route.path.split('/').map(|segment| {
        if segment.starts_with('{') && segment.ends_with('}') { "{}" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, path: &str) -> Manifest {
        serde_json::from_value(serde_json::json!({
            "type": name,
            "route": [{"method": "POST", "path": path, "command": "add"}],
        }))
        .expect("a manifest")
    }

    #[test]
    fn a_route_alike_but_for_names_is_taken() {
        let carts = manifest("cart", "/carts/{id}/items/{sku}");
        let clash = manifest("basket", "/carts/{sku}/items/{id}");
        let (path, owner) = route_owner(&clash, [&carts]).expect("taken");
        assert_eq!((path.as_str(), owner.as_str()), ("/carts/{sku}/items/{id}", "cart"));
        assert_eq!(route_owner(&carts, [&carts]), None, "its own routes are its own");
        assert_eq!(route_owner(&manifest("basket", "/baskets/{id}"), [&carts]), None);
    }
}
