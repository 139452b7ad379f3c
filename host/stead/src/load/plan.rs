//! What a run sends, to whom, and for how long.

use std::{net::SocketAddr, time::Duration};

use super::Template;

/// What is asked of an entity.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The path before the entity's id, `/entities/cart/bench-`, and after it, `/add-item`.
    pub path: (String, String),
    /// `POST` or `GET`.
    pub method: &'static str,
    /// The body, if there is one.
    pub body: Option<Template>,
    /// The body's content type.
    pub content_type: String,
}

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// What it is called, for the `Host` header.
    pub authority: String,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where requests go.
    pub target: Target,
    /// What is asked.
    pub operation: Operation,
    /// Clients at once, each with a connection.
    pub clients: usize,
    /// Threads that the clients are spread over.
    pub threads: usize,
    /// Entities that they ask, chosen at random for each request.
    pub entities: u64,
    /// How long is measured.
    pub duration: Duration,
    /// How long requests are sent before that.
    pub warmup: Duration,
}

impl Operation {
    /// Writes a whole request.
    pub fn write(
        &self,
        into: &mut Vec<u8>,
        body: &mut Vec<u8>,
        authority: &str,
        number: u64,
        entity: u64,
    ) {
        use std::io::Write as _;
        into.clear();
        let (before, after) = &self.path;
        // Writing to a vector never fails.
        let _ = write!(
            into,
            "{} {before}{entity}{after} HTTP/1.1\r\nhost: {authority}\r\n",
            self.method
        );
        match &self.body {
            Some(template) => {
                body.clear();
                template.write(body, number, entity);
                let _ = write!(
                    into,
                    "content-type: {}\r\ncontent-length: {}\r\n\r\n",
                    self.content_type,
                    body.len()
                );
                into.extend_from_slice(body);
            }
            None if self.method == "GET" => into.extend_from_slice(b"\r\n"),
            None => into.extend_from_slice(b"content-length: 0\r\n\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &'static str, body: Option<&str>) -> String {
        let operation = Operation {
            path: ("/entities/cart/bench-".into(), "/add".into()),
            method,
            body: body.map(Template::new),
            content_type: "application/json".into(),
        };
        let (mut request, mut body) = (b"rest of the one before".to_vec(), Vec::new());
        operation.write(&mut request, &mut body, "a:1", 3, 9);
        String::from_utf8(request).expect("text")
    }

    #[test]
    fn requests_are_whole() {
        assert_eq!(
            written("POST", Some("[{{n}}]")),
            "POST /entities/cart/bench-9/add HTTP/1.1\r\nhost: a:1\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n[3]"
        );
        assert_eq!(
            written("GET", None),
            "GET /entities/cart/bench-9/add HTTP/1.1\r\nhost: a:1\r\n\r\n"
        );
        assert!(written("POST", None).ends_with("content-length: 0\r\n\r\n"));
    }
}
