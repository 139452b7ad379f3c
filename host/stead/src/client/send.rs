//! Sending requests to a node and reading its answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;

use super::{NodeUrl, Problem, Upload};
use crate::{
    config::span,
    failure::{Exit, Failure},
};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A larger answer is refused.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// A longer line of a stream is refused.
const LINE_BYTES_MAX: usize = 64 << 20;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Path and query, encoded.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// With a body of this content type.
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.headers.insert(header::CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.body(HeaderValue::from_static("application/json"), body.to_string())
    }

    /// With a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A success.
#[derive(Debug)]
pub struct Answer {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON of a known shape.
    pub fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::failed(format!("{what}: the node's answer could not be understood: {error}"))
                .hint("is it a Stead node of about this version? `stead status` shows its version")
        })
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer to read.
pub enum SendError {
    /// The node said no.
    Problem(Box<Problem>),
    /// There was no answer; the request may have arrived.
    NoAnswer {
        /// The failure to tell.
        failure: Failure,
        /// Whether another attempt may fare better.
        retriable: bool,
    },
}

impl SendError {
    /// The failure to tell; `what` is what was asked for.
    pub fn into_failure(self, what: &str) -> Failure {
        match self {
            Self::Problem(problem) => problem.into_failure(what),
            Self::NoAnswer { failure, .. } => failure,
        }
    }
}

/// A connection pool to one of a node's servers.
pub struct Client {
    http: legacy::Client<HttpConnector, Upload>,
    url: NodeUrl,
    timeout: Duration,
    /// How to say where else to look, when nobody answers.
    setting: &'static str,
}

impl Client {
    /// A client of the server at `url`; `setting` is the flag and variable that
    /// say where it is.
    pub fn new(url: NodeUrl, timeout: Duration, setting: &'static str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { http, url, timeout, setting }
    }

    /// Sends a request and reads the whole answer; `what` names what is asked
    /// for in errors.
    pub async fn send(&self, what: &str, request: Request) -> Result<Answer, Failure> {
        self.try_send(request, None).await.map_err(|error| error.into_failure(what))
    }

    /// As [`Self::send`], with what went wrong left open to look at.
    pub async fn try_send(
        &self,
        request: Request,
        progress: Option<crate::output::Progress>,
    ) -> Result<Answer, SendError> {
        let silence = match request.method {
            Method::GET => Exit::Unreachable,
            _ => Exit::OutcomeUnknown,
        };
        let whole = async {
            let response = self.begin(request, progress).await?;
            self.read(response).await
        };
        match tokio::time::timeout(self.timeout, whole).await {
            Ok(result) => result,
            Err(_) => Err(SendError::NoAnswer {
                failure: Failure::new(
                    silence,
                    format!("{} did not answer within {}", self.url, span::show(self.timeout)),
                )
                .hint("a longer wait is --timeout"),
                retriable: true,
            }),
        }
    }

    /// Sends a request whose answer is lines without end. Only the beginning of
    /// the answer has to come in time.
    pub async fn lines(&self, what: &str, request: Request) -> Result<Lines, Failure> {
        let begun = tokio::time::timeout(self.timeout, self.begin(request, None)).await;
        let response = match begun {
            Ok(result) => result.map_err(|error| error.into_failure(what))?,
            Err(_) => {
                return Err(Failure::new(
                    Exit::Unreachable,
                    format!("{} did not answer within {}", self.url, span::show(self.timeout)),
                ));
            }
        };
        Ok(Lines { body: response.into_body(), buffer: BytesMut::new(), searched: 0 })
    }

    /// Sends a request; gives the answer with its body unread if it is a success.
    async fn begin(
        &self,
        request: Request,
        progress: Option<crate::output::Progress>,
    ) -> Result<http::Response<Incoming>, SendError> {
        let mut body = Upload::new(request.body);
        if let Some(progress) = progress {
            body = body.with_progress(progress);
        }
        let built = self
            .url
            .join(&request.path)
            .and_then(|uri| http::Request::builder().method(request.method).uri(uri).body(body));
        let mut built = built.map_err(|error| SendError::NoAnswer {
            failure: Failure::usage(format!("{:?} is no path: {error}", request.path)),
            retriable: false,
        })?;
        built.headers_mut().extend(request.headers);
        let response = self.http.request(built).await.map_err(|error| self.no_answer(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, 1 << 20).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(SendError::Problem(Box::new(Problem::read(parts.status, &parts.headers, &body))))
    }

    async fn read(&self, response: http::Response<Incoming>) -> Result<Answer, SendError> {
        let (parts, body) = response.into_parts();
        match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(body) => Ok(Answer { headers: parts.headers, body: body.to_bytes() }),
            Err(error) => Err(SendError::NoAnswer {
                failure: Failure::failed(format!("{}: the answer broke off: {error}", self.url)),
                retriable: true,
            }),
        }
    }

    fn no_answer(&self, error: &legacy::Error) -> SendError {
        let cause = root_cause(error);
        let message = if error.is_connect() {
            format!("no node answers at {}: {cause}", self.url)
        } else {
            format!("{} gave no answer: {cause}", self.url)
        };
        let failure = Failure::new(Exit::Unreachable, message).hint(format!(
            "is it running? `stead node` starts one; {} says where another is",
            self.setting
        ));
        SendError::NoAnswer { failure, retriable: true }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// An answer read line by line as it comes.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line end.
    searched: usize,
}

impl Lines {
    /// The next line; `None` when the answer ends. A last line without an end
    /// was cut off and is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let length = self.searched + at;
                let mut line = self.buffer.split_to(length + 1).freeze();
                line.truncate(length);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(Failure::failed("the node sent a line that is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::new(
                        Exit::Unreachable,
                        format!("the connection broke off: {}", root_cause(&error)),
                    ));
                }
                None => return Ok(None),
            }
        }
    }
}
