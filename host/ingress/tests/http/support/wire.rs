//! A client that sends exactly the bytes it is given.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// How long any answer may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub struct Wire {
    pub stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem that this is, which has to be complete.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{problem}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream: BufReader::new(stream) }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.write_all(bytes.as_ref());
        tokio::time::timeout(PATIENCE, sent).await.expect("it is taken").expect("it is sent");
    }

    /// Sends what may be cut short by the server.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = self.stream.write_all(bytes.as_ref());
        tokio::time::timeout(PATIENCE, sent).await.expect("it is taken").is_ok()
    }

    /// The next answer; `None` if the connection ends before it.
    pub async fn reply(&mut self) -> Option<Reply> {
        self.reply_to("GET").await
    }

    pub async fn reply_to(&mut self, method: &str) -> Option<Reply> {
        tokio::time::timeout(PATIENCE, self.read_reply(method)).await.expect("an answer in time")
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line).await {
            Ok(_) if line.ends_with(b"\r\n") => {
                line.truncate(line.len() - 2);
                Some(String::from_utf8(line).expect("text"))
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// The head of an answer: status and headers.
    pub async fn head(&mut self) -> Option<Reply> {
        let line = self.line().await?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(Reply { status, headers, body: Vec::new() });
            }
            let (name, value) = line.split_once(':').expect("a header");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// One chunk of a chunked body; `None` at its end.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = tokio::time::timeout(PATIENCE, self.line()).await.expect("a chunk in time")?;
        let size = usize::from_str_radix(&line, 16).expect("a chunk's size");
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).await.ok()?;
        assert_eq!(self.line().await.as_deref(), Some(""));
        (size > 0).then_some(chunk)
    }

    async fn read_reply(&mut self, method: &str) -> Option<Reply> {
        let mut reply = self.head().await?;
        if reply.status == 100 {
            reply = self.head().await?;
        }
        if method == "HEAD" || reply.status == 204 {
            return Some(reply);
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                reply.body.extend(chunk);
            }
        } else {
            let size = reply.header("content-length").unwrap_or("0").parse().expect("a size");
            reply.body = vec![0; size];
            self.stream.read_exact(&mut reply.body).await.ok()?;
        }
        Some(reply)
    }

    /// Whether the server has ended the connection, or does so soon.
    pub async fn ends(&mut self) -> bool {
        let mut rest = Vec::new();
        match tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await {
            Ok(Ok(_)) => rest.is_empty(),
            Ok(Err(_)) => true,
            Err(_) => false,
        }
    }
}

/// One request on a connection of its own.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut wire = Wire::connect(address).await;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    wire.send([head.as_bytes(), b"\r\n", body].concat()).await;
    wire.reply_to(method).await.expect("an answer")
}

/// `POST` with a JSON body.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Reply {
    send(address, "POST", path, &[("content-type", "application/json")], body.as_bytes()).await
}

/// `GET`.
pub async fn get(address: SocketAddr, path: &str) -> Reply {
    send(address, "GET", path, &[], b"").await
}
