//! One keep-alive connection, and just enough of HTTP/1.1 to read answers.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// More headers are refused.
const HEADERS_MAX: usize = 64;
/// A longer answer is refused.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer, read and gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether the connection can be used again.
    pub keeps: bool,
}

/// What is known of an answer when its head is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    answer: Answer,
    head_bytes: usize,
    body: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 4096], filled: 0 })
    }

    /// Sends a request and reads its answer.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let head = loop {
            self.fill().await?;
            if let Some(head) = parse_head(self.read())? {
                break head;
            }
        };
        let end = match head.body {
            Body::Length(length) => {
                let end = head.head_bytes.saturating_add(length);
                while self.filled < end {
                    self.fill().await?;
                }
                end
            }
            Body::Chunked => loop {
                if let Some(end) = chunked_end(self.read(), head.head_bytes)? {
                    break end;
                }
                self.fill().await?;
            },
        };
        if self.filled != end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more came than was asked for"));
        }
        self.filled = 0;
        Ok(head.answer)
    }

    fn read(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            if self.filled >= ANSWER_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(room).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }
}

/// The head, if it is all there.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or(0);
    let mut body = Body::Length(0);
    let mut keeps = response.version == Some(1);
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.parse::<usize>().ok().filter(|length| *length <= ANSWER_BYTES_MAX);
            body = Body::Length(length.ok_or(io::ErrorKind::InvalidData)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding")
            && value.eq_ignore_ascii_case("chunked")
        {
            body = Body::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection")
            && value.eq_ignore_ascii_case("close")
        {
            keeps = false;
        }
    }
    if status == 204 || status == 304 {
        body = Body::Length(0);
    }
    Ok(Some(Head { answer: Answer { status, keeps }, head_bytes, body }))
}

/// Where a chunked body that begins at `at` ends, if it is all there.
fn chunked_end(bytes: &[u8], mut at: usize) -> io::Result<Option<usize>> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "no chunk");
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match httparse::parse_chunk_size(rest).map_err(invalid)? {
            httparse::Status::Partial => return Ok(None),
            // Trailers are not asked for, so the end is an empty line.
            httparse::Status::Complete((line, 0)) => {
                let end = at + line + 2;
                return Ok((bytes.len() >= end).then_some(end));
            }
            httparse::Status::Complete((line, size)) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                at = at.saturating_add(line).saturating_add(size).saturating_add(2);
                if at > ANSWER_BYTES_MAX {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the answer is too long",
                    ));
                }
                if at > bytes.len() {
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each request with one of these, in pieces of `piece` bytes.
    async fn server(answers: &'static [&'static str], piece: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            for answer in answers {
                let mut request = [0; 64];
                let _ = stream.read(&mut request).await;
                for part in answer.as_bytes().chunks(piece) {
                    stream.write_all(part).await.expect("written");
                    tokio::task::yield_now().await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn answers_of_every_framing_are_read_however_they_come() {
        const ANSWERS: &[&str] = &[
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ];
        for piece in [1, 7, 1000] {
            let mut connection =
                Connection::open(server(ANSWERS, piece).await).await.expect("open");
            let mut seen = Vec::new();
            for _ in ANSWERS {
                let answer = connection.exchange(b"x").await.expect("an answer");
                seen.push((answer.status, answer.keeps));
            }
            assert_eq!(seen, [(200, true), (204, true), (429, true), (503, false)], "{piece}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_or_is_none_is_an_error() {
        for answers in
            [&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"][..], &["nonsense\r\n\r\n"]]
        {
            let mut connection = Connection::open(server(answers, 1000).await).await.expect("open");
            assert!(connection.exchange(b"x").await.is_err(), "{answers:?}");
        }
    }
}
