//! Paths on a node's servers.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use stead_model::{Address, EntityType};

/// Everything in a segment is encoded but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path. A segment of one or two dots would be
/// taken for a step by some clients and proxies, so its dots are encoded too.
pub fn segment(text: &str) -> String {
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

/// An entity's path on both servers.
pub fn entity(address: &Address) -> String {
    format!("/entities/{}/{}", address.entity_type, segment(address.id.as_str()))
}

/// The path of an entity's command or query.
pub fn operation(address: &Address, name: &str) -> String {
    format!("{}/{}", entity(address), segment(name))
}

/// A type's path on the admin server.
pub fn entity_type(name: &EntityType) -> String {
    format!("/types/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_segment_whatever_is_in_them() {
        for (id, path) in [
            ("42", "/entities/cart/42"),
            ("a/b", "/entities/cart/a%2Fb"),
            ("é ?#%", "/entities/cart/%C3%A9%20%3F%23%25"),
            ("..", "/entities/cart/%2E%2E"),
            ("a.b-c_d~e", "/entities/cart/a.b-c_d~e"),
        ] {
            let address: Address = format!("cart/{id}").parse().expect("an address");
            assert_eq!(entity(&address), path);
        }
    }
}
