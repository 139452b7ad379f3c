//! A server that answers as it is told, and remembers what it was asked; and
//! the `stead` program run against it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};
use serde_json::Value;

/// What the server was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `POST /entities/cart/42/add-item`.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// An answer that was prepared.
pub struct Prepared {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

impl Prepared {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".into())],
            body: body.to_string().into(),
        }
    }

    /// A problem.
    pub fn problem(status: u16, kind: &str, members: &[(&str, Value)]) -> Self {
        let mut body = serde_json::Map::new();
        body.insert("type".into(), format!("urn:stead:problem:{kind}").into());
        for (name, value) in [("title", "A title"), ("code", kind), ("detail", "A detail.")] {
            body.insert(name.into(), value.into());
        }
        body.insert("status".into(), status.into());
        for (name, value) in members {
            body.insert((*name).into(), value.clone());
        }
        Self::json(status, &Value::Object(body))
    }

    /// Bytes as they are, over whatever time they take.
    pub fn body(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// With a header.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct State {
    prepared: Mutex<VecDeque<Prepared>>,
    asked: Mutex<Vec<Asked>>,
}

/// The server.
pub struct Fake {
    address: SocketAddr,
    state: Arc<State>,
    _runtime: tokio::runtime::Runtime,
}

impl Fake {
    /// A server that gives these answers, in this order, whatever it is asked;
    /// after them, 500.
    pub fn new(answers: impl IntoIterator<Item = Prepared>) -> Self {
        let state = Arc::new(State::default());
        state.prepared.lock().expect("lock").extend(answers);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("bound");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::clone(&state);
        let router =
            Router::new().fallback(
                move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                    let shared = Arc::clone(&shared);
                    async move {
                        shared.answer(Asked { line: format!("{method} {uri}"), headers, body })
                    }
                },
            );
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, state, _runtime: runtime }
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().expect("lock").clone()
    }

    /// The first lines of all that was asked.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// `stead` with these arguments, both of its servers being this one.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = stead(arguments);
        let url = format!("http://{}", self.address);
        command.env("STEAD_ADMIN", &url).env("STEAD_INGRESS", &url);
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("it runs"))
    }
}

impl State {
    fn answer(&self, asked: Asked) -> Response<Body> {
        self.asked.lock().expect("lock").push(asked);
        let Some(prepared) = self.prepared.lock().expect("lock").pop_front() else {
            let mut response = Response::new(Body::from("nothing was prepared"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        };
        let mut response = Response::builder().status(prepared.status);
        for (name, value) in prepared.headers {
            response = response.header(name, value);
        }
        response.body(prepared.body).expect("a response")
    }
}

/// `stead` with these arguments, in a directory without a `stead.toml` and
/// without the environment's settings.
pub fn stead(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STEAD_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub exit: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub error: String,
}

impl Ran {
    /// From the program's output.
    pub fn of(output: Output) -> Self {
        Self {
            exit: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).expect("text"),
            error: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Standard output as JSON, after a success.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.exit, 0, "{}", self.error);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The error as JSON.
    #[track_caller]
    pub fn error_json(&self) -> Value {
        let last = self.error.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", self.error))
    }
}
