//! Where a node is: `http://HOST:PORT`.

use std::fmt;

use http::Uri;

use crate::config::{Form, Kind};

/// The address of one of a node's servers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd)]
pub struct NodeUrl {
    authority: String,
    /// What goes before every path: empty, or `/prefix`.
    prefix: String,
}

impl NodeUrl {
    /// The host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What goes before every path.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The URL of a path on this server.
    ///
    /// # Errors
    /// If the path has a character that no URL may have.
    pub fn join(&self, path: &str) -> Result<Uri, http::Error> {
        let whole = format!("{}{path}", self.prefix);
        Uri::builder()
            .scheme("http")
            .authority(self.authority.as_str())
            .path_and_query(whole.as_str())
            .build()
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

impl Kind for NodeUrl {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |reason: &str| {
            Err(format!("{text:?} is no address of a node, as http://127.0.0.1:8081 is: {reason}"))
        };
        let whole = match text.split_once("://") {
            Some(("http", _)) => text.to_owned(),
            Some(("https", _)) => return wrong("only http is spoken, not yet https"),
            Some(_) => return wrong("it begins with http://"),
            None => format!("http://{text}"),
        };
        let Ok(uri) = whole.parse::<Uri>() else { return wrong("it is no URL") };
        let Some(authority) = uri.authority() else { return wrong("the host is missing") };
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return wrong("it is a host and a port, without a user");
        }
        if uri.query().is_some() {
            return wrong("it has no query");
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority: authority.as_str().to_owned(), prefix })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_scheme_and_prefix() {
        for (text, shown) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("localhost", "http://localhost"),
            ("http://[::1]:8081/", "http://[::1]:8081"),
            ("http://proxy/stead/", "http://proxy/stead"),
        ] {
            assert_eq!(NodeUrl::parse(text).map(|url| url.show()).as_deref(), Ok(shown), "{text}");
        }
        let url = NodeUrl::parse("http://proxy/stead/").expect("an address");
        assert_eq!(url.join("/types").expect("a URL").to_string(), "http://proxy/stead/types");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "https://a", "ftp://a", "http://", "http://u:p@a", "http://a/?x=1", "a b"]
        {
            assert!(NodeUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
